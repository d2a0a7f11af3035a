import type { HandlerStatus } from "../handlers/handlers.ts";
import type { ImageDeps } from "../images/deps.ts";
import type { NetworkStatus } from "../network/driver.ts";
import type { PodDeps } from "./deps.ts";

export interface RuntimeStatus {
  readonly runtimeReady: boolean;
  readonly network: NetworkStatus;
  /** "" is the default one. */
  readonly handlers: readonly HandlerStatus[];
  /** Pods can have user namespaces, with their own network or the host's. */
  readonly userNamespaces: boolean;
  /** What new layers of images become, and why. */
  readonly layers: { readonly form: string; readonly reason: string };
}

/**
 * Whether pods can be run here (CRI, Status). A daemon that answers can run pods; the network says for
 * itself.
 */
export async function runtimeStatus(
  deps: Pick<PodDeps, "network" | "handlers" | "userNamespacesMissing"> & Pick<ImageDeps, "layerForms">,
): Promise<RuntimeStatus> {
  const [network, handlers] = await Promise.all([deps.network.status(), deps.handlers.list()]);
  const { form, reason } = deps.layerForms;
  const userNamespaces = deps.userNamespacesMissing === "";
  return { runtimeReady: true, network, handlers, userNamespaces, layers: { form, reason } };
}
