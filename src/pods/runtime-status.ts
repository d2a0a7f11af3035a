import type { NetworkStatus } from "../network/driver.ts";
import type { PodDeps } from "./deps.ts";
import { HANDLERS } from "./handlers.ts";

export interface RuntimeStatus {
  readonly runtimeReady: boolean;
  readonly network: NetworkStatus;
  /** Names of the runtime handlers; "" is the default one. */
  readonly handlers: readonly string[];
  /** Pods can have user namespaces, with their own network or the host's. */
  readonly userNamespaces: boolean;
}

/**
 * Whether pods can be run here (CRI, Status). A daemon that answers can run pods; the network says for
 * itself.
 */
export async function runtimeStatus(
  deps: Pick<PodDeps, "network" | "userNamespacesMissing">,
): Promise<RuntimeStatus> {
  return {
    runtimeReady: true,
    network: await deps.network.status(),
    handlers: HANDLERS,
    userNamespaces: deps.userNamespacesMissing === "",
  };
}
