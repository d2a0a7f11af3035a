import type { HandlerStatus } from "../handlers/handlers.ts";
import type { NetworkStatus } from "../network/driver.ts";
import type { PodDeps } from "./deps.ts";

export interface RuntimeStatus {
  readonly runtimeReady: boolean;
  readonly network: NetworkStatus;
  /** "" is the default one. */
  readonly handlers: readonly HandlerStatus[];
  /** Pods can have user namespaces, with their own network or the host's. */
  readonly userNamespaces: boolean;
}

/**
 * Whether pods can be run here (CRI, Status). A daemon that answers can run pods; the network says for
 * itself.
 */
export async function runtimeStatus(
  deps: Pick<PodDeps, "network" | "handlers" | "userNamespacesMissing">,
): Promise<RuntimeStatus> {
  const [network, handlers] = await Promise.all([deps.network.status(), deps.handlers.list()]);
  return { runtimeReady: true, network, handlers, userNamespaces: deps.userNamespacesMissing === "" };
}
