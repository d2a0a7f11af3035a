// What plugins are given for one pod: the parameters of the attachment and, by declared capability, its
// runtime configuration (CNI spec, section 3; CONVENTIONS.md of the CNI project).

import { BerthError } from "../lib/errors.ts";
import type { PodId } from "../types/ids.ts";
import type { PodConfig, PortMapping } from "../types/pod.ts";
import { isObject, type JsonObject, type NetworkList, type PluginConfig } from "./conflist.ts";
import { parseBandwidth } from "./quantity.ts";

/** Recorded with the attachment, so that the DEL says what the ADD said. */
export interface AttachmentRuntime {
  readonly containerId: string;
  /** `namespace/name`, for messages. */
  readonly pod: string;
  readonly args: string;
  /** By name of the capability. */
  readonly capabilities: JsonObject;
}

/** Burst of a bandwidth limit in bits: as large as the plugin's arithmetic allows, as the kubelet did. */
const burst = 2 ** 31 - 1;

/**
 * `podCidrs` are those that the kubelet pushed. Throws INVALID_ARGUMENT for pod metadata that cannot be
 * written into CNI_ARGS and bad annotations.
 */
export function attachmentRuntime(
  podId: PodId,
  config: PodConfig,
  podCidrs: readonly string[],
): AttachmentRuntime {
  const { metadata } = config;
  const args = [
    "IgnoreUnknown=1",
    argument("K8S_POD_NAMESPACE", metadata.namespace),
    argument("K8S_POD_NAME", metadata.name),
    argument("K8S_POD_INFRA_CONTAINER_ID", podId),
    argument("K8S_POD_UID", metadata.uid),
  ];
  return {
    containerId: podId,
    pod: `${metadata.namespace}/${metadata.name}`,
    args: args.join(";"),
    capabilities: {
      ...portCapability(config.portMappings),
      ...bandwidthCapability(config.annotations),
      ...(podCidrs.length === 0 ? {} : { ipRanges: podCidrs.map((subnet) => [{ subnet }]) }),
      ...(config.dns === undefined ? {} : { dns: config.dns }),
      ...(config.cgroupParent === "" ? {} : { cgroupPath: config.cgroupParent }),
      "io.kubernetes.cri.pod-annotations": config.annotations,
    },
  };
}

/** For the networks of a pod after its first: a port of the host leads to one address only. */
export function withoutPorts(runtime: AttachmentRuntime): AttachmentRuntime {
  const { portMappings: _ports, ...capabilities } = runtime.capabilities;
  return { ...runtime, capabilities };
}

/** Reads back what attachmentRuntime made; throws DATA_LOSS when it is something else. */
export function parseRuntime(text: string): AttachmentRuntime {
  const value: unknown = JSON.parse(text);
  if (isObject(value) && typeof value.containerId === "string" && typeof value.args === "string") {
    const pod = typeof value.pod === "string" ? value.pod : value.containerId;
    const capabilities = isObject(value.capabilities) ? value.capabilities : {};
    return { containerId: value.containerId, pod, args: value.args, capabilities };
  }
  throw new BerthError("DATA_LOSS", `recorded network attachment is not readable: ${text.slice(0, 200)}`);
}

/** The published ports, or an empty list. */
export function publishedPorts(mappings: readonly PortMapping[]): PortMapping[] {
  return mappings.filter((mapping) => mapping.hostPort > 0);
}

/** What the plugin reads on its standard input. */
export function pluginInput(
  list: NetworkList,
  plugin: PluginConfig,
  capabilities: JsonObject,
  prevResult: JsonObject | null,
): string {
  const declared = plugin.capabilities.filter((name) => capabilities[name] !== undefined);
  const runtimeConfig = Object.fromEntries(declared.map((name) => [name, capabilities[name]]));
  return JSON.stringify({
    ...plugin.config,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(declared.length === 0 ? {} : { runtimeConfig }),
    ...(prevResult === null ? {} : { prevResult }),
  });
}

function argument(name: string, value: string): string {
  // ";" and "=" are the syntax of CNI_ARGS: a pod must not be able to speak for another.
  if (/[;=\u0000-\u001f]/.test(value)) {
    throw new BerthError("INVALID_ARGUMENT", `${name} ${JSON.stringify(value)} must not contain ";" or "="`);
  }
  return `${name}=${value}`;
}

function portCapability(mappings: readonly PortMapping[]): JsonObject {
  const published = publishedPorts(mappings);
  if (published.length === 0) return {};
  return {
    portMappings: published.map((mapping) => ({
      hostPort: mapping.hostPort,
      containerPort: mapping.containerPort,
      protocol: mapping.protocol.toLowerCase(),
      ...(mapping.hostIp === "" ? {} : { hostIP: mapping.hostIp }),
    })),
  };
}

function bandwidthCapability(annotations: Readonly<Record<string, string>>): JsonObject {
  const ingress = bandwidthOf(annotations, "ingress");
  const egress = bandwidthOf(annotations, "egress");
  if (ingress === null && egress === null) return {};
  return {
    bandwidth: {
      ...(ingress === null ? {} : { ingressRate: ingress, ingressBurst: burst }),
      ...(egress === null ? {} : { egressRate: egress, egressBurst: burst }),
    },
  };
}

function bandwidthOf(annotations: Readonly<Record<string, string>>, direction: string): number | null {
  const name = `kubernetes.io/${direction}-bandwidth`;
  const text = annotations[name];
  return text === undefined ? null : parseBandwidth(name, text);
}
