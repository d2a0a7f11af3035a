// PodSandboxConfig and the filters of pods, from their wire types.

import type * as proto from "../gen/runtime/v1/api.ts";
import type { PodConfig, PodMetadata, PodSecurity, PodState, PortMapping } from "../types/pod.ts";
import { podStates, protocols } from "./enums.ts";
import { enumName, filled, integerWithin, invalidField, present, text, textMap, texts } from "./fields.ts";
import {
  commonSecurityFromProto,
  namespacesFromProto,
  profileFromProto,
  resourcesFromProto,
} from "./security-from-proto.ts";

/**
 * The config of a pod. `path` is where the message stands in the request ("config").
 * Throws INVALID_ARGUMENT that names the field.
 */
export function podConfigFromProto(message: proto.PodSandboxConfig | undefined, path: string): PodConfig {
  const config = present(message, path);
  if (config.windows !== undefined) {
    throw invalidField(`${path}.windows`, "is set: berth runs Linux pods only");
  }
  const linux = config.linux;
  return {
    metadata: podMetadataFromProto(config.metadata, `${path}.metadata`),
    hostname: text(config.hostname, `${path}.hostname`),
    logDirectory: text(config.logDirectory, `${path}.log_directory`),
    dns: dnsFromProto(config.dnsConfig, `${path}.dns_config`),
    portMappings: config.portMappings.map((mapping, index) =>
      portMappingFromProto(mapping, `${path}.port_mappings[${index}]`),
    ),
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    cgroupParent: text(linux?.cgroupParent ?? "", `${path}.linux.cgroup_parent`),
    security: podSecurityFromProto(linux?.securityContext, `${path}.linux.security_context`),
    sysctls: textMap(linux?.sysctls ?? {}, `${path}.linux.sysctls`),
    overhead: resourcesFromProto(linux?.overhead, `${path}.linux.overhead`),
    resources: resourcesFromProto(linux?.resources, `${path}.linux.resources`),
  };
}

/** Name, namespace and uid are needed: clients refuse the status of a pod that lacks one of them. */
function podMetadataFromProto(message: proto.PodSandboxMetadata | undefined, path: string): PodMetadata {
  const metadata = present(message, path);
  return {
    name: filled(metadata.name, `${path}.name`),
    uid: filled(metadata.uid, `${path}.uid`),
    namespace: filled(metadata.namespace, `${path}.namespace`),
    attempt: metadata.attempt,
  };
}

function dnsFromProto(message: proto.DNSConfig | undefined, path: string): PodConfig["dns"] {
  if (message === undefined) return undefined;
  return {
    servers: texts(message.servers, `${path}.servers`),
    searches: texts(message.searches, `${path}.searches`),
    options: texts(message.options, `${path}.options`),
  };
}

function portMappingFromProto(message: proto.PortMapping, path: string): PortMapping {
  return {
    protocol: enumName(protocols, message.protocol, `${path}.protocol`),
    containerPort: integerWithin(message.containerPort, 0, 65535, `${path}.container_port`),
    hostPort: integerWithin(message.hostPort, 0, 65535, `${path}.host_port`),
    hostIp: text(message.hostIp, `${path}.host_ip`),
  };
}

function podSecurityFromProto(
  message: proto.LinuxSandboxSecurityContext | undefined,
  path: string,
): PodSecurity {
  return {
    ...commonSecurityFromProto(message, path),
    namespaces: namespacesFromProto(message?.namespaceOptions, `${path}.namespace_options`),
    apparmor: profileFromProto(message?.apparmor, `${path}.apparmor`, "", ""),
  };
}

/** What ListPodSandbox selects by. Absent parts select everything. */
export interface PodSelection {
  readonly id?: string;
  readonly state?: PodState;
  readonly labels?: Readonly<Record<string, string>>;
}

export function podFilterFromProto(message: proto.PodSandboxFilter | undefined): PodSelection {
  if (message === undefined) return {};
  const { id, state, labelSelector } = message;
  return {
    ...(id === "" ? {} : { id }),
    ...(state === undefined ? {} : { state: enumName(podStates, state.state, "filter.state.state") }),
    ...(Object.keys(labelSelector).length === 0 ? {} : { labels: labelSelector }),
  };
}
