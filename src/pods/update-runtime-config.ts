import type { PodDeps } from "./deps.ts";

/**
 * Pod CIDRs of the node as the kubelet pushes them: a comma list for two address families, or "" (CRI,
 * UpdateRuntimeConfig).
 */
export function updateRuntimeConfig(deps: Pick<PodDeps, "network">, podCidr: string): void {
  const cidrs = podCidr
    .split(",")
    .map((cidr) => cidr.trim())
    .filter((cidr) => cidr !== "");
  deps.network.setPodCidrs(cidrs);
}
