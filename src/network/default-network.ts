// berth's own network, used while the CNI configuration directory holds no configuration: a bridge with
// masquerade, addresses from a subnet, published ports.

import { createHash } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { BerthError } from "../lib/errors.ts";
import { type JsonObject, type NetworkList, parseNetworkList } from "./conflist.ts";

export const defaultBridge = "berth0";
const networkName = "berth";
const maxBridgeLength = 15;

export interface DefaultNetworkRequest {
  /** The subnets of the daemon's configuration, at most one of each address family. */
  readonly subnets: readonly string[];
  /** CIDRs pushed by the kubelet; they replace the subnets, one of each address family. */
  readonly podCidrs: readonly string[];
  readonly bridge: string;
  /** Whether the pod publishes ports: the plugin for them costs two processes a pod. */
  readonly publishesPorts: boolean;
}

/**
 * The network as a CNI list. Pushed CIDRs get a network and bridge of their own: the gateway address of a
 * bridge cannot change below the pods that use it. Throws INVALID_ARGUMENT for what is not a CIDR.
 */
export function defaultNetwork(request: DefaultNetworkRequest): NetworkList {
  const subnets = request.podCidrs.length === 0 ? request.subnets : onePerFamily(request.podCidrs);
  for (const subnet of subnets) checkCidr(subnet);
  const suffix = request.podCidrs.length === 0 ? "" : `-${shortHash(subnets.join(","))}`;
  const bridge = request.bridge;
  const name = bridge === defaultBridge ? networkName : `${networkName}-${bridge}`;
  const plugins: JsonObject[] = [
    {
      type: "bridge",
      bridge: `${bridge.slice(0, maxBridgeLength - suffix.length)}${suffix}`,
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: {
        type: "host-local",
        ranges: subnets.map((subnet) => [{ subnet }]),
        routes: subnets.map((subnet) => ({ dst: subnet.includes(":") ? "::/0" : "0.0.0.0/0" })),
      },
    },
  ];
  if (request.publishesPorts) plugins.push({ type: "portmap", capabilities: { portMappings: true } });
  return parseNetworkList(JSON.stringify({ cniVersion: "1.0.0", name: `${name}${suffix}`, plugins }));
}

/** Throws INVALID_ARGUMENT when `text` is not an IPv4 or IPv6 network with a prefix length. */
export function checkCidr(text: string): void {
  const slash = text.lastIndexOf("/");
  const address = text.slice(0, Math.max(slash, 0));
  const prefix = text.slice(slash + 1);
  const longest = isIPv4(address) ? 32 : isIPv6(address) && !address.includes("%") ? 128 : 0;
  if (longest !== 0 && /^(0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= longest) return;
  throw new BerthError("INVALID_ARGUMENT", `"${text}" is not a network such as "10.88.0.0/16"`);
}

function onePerFamily(cidrs: readonly string[]): string[] {
  const four = cidrs.find((cidr) => !cidr.includes(":"));
  const six = cidrs.find((cidr) => cidr.includes(":"));
  return [...new Set(cidrs.filter((cidr) => cidr === four || cidr === six))];
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 6);
}
