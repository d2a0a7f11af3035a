import type { NetworkStatus } from "../network/driver.ts";
import type { PodDeps } from "./deps.ts";
import { HANDLERS } from "./handlers.ts";

export interface RuntimeStatus {
  readonly runtimeReady: boolean;
  readonly network: NetworkStatus;
  /** Names of the runtime handlers; "" is the default one. */
  readonly handlers: readonly string[];
}

/**
 * Whether pods can be run here (CRI, Status). A daemon that answers can run pods; the network says for
 * itself.
 */
export async function runtimeStatus(deps: Pick<PodDeps, "network">): Promise<RuntimeStatus> {
  return { runtimeReady: true, network: await deps.network.status(), handlers: HANDLERS };
}
