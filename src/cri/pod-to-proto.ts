// Pods as the CRI shows them.

import type * as proto from "../gen/runtime/v1/api.ts";
import { stateOfPod } from "../pods/pod-lifecycle.ts";
import type { Micros } from "../types/ids.ts";
import type { IdMapping, ListedPod, NamespaceOptions, Pod } from "../types/pod.ts";
import { enumNumber, namespaceModes, podStates } from "./enums.ts";

/** Nanoseconds since the epoch; 0 for what has not happened. */
export function nanoseconds(micros: Micros | null): bigint {
  return micros === null ? 0n : BigInt(micros) * 1000n;
}

export function podSandboxToProto(pod: ListedPod): proto.PodSandbox {
  return {
    id: pod.id,
    metadata: { ...pod.config.metadata },
    state: enumNumber(podStates, stateOfPod(pod)),
    createdAt: nanoseconds(pod.createdAt),
    labels: { ...pod.config.labels },
    annotations: { ...pod.config.annotations },
    runtimeHandler: pod.handler,
  };
}

export function podSandboxStatusToProto(pod: Pod): proto.PodSandboxStatus {
  const [ip = "", ...others] = pod.network.ips;
  return {
    ...podSandboxToProto(pod),
    network: { ip, additionalIps: others.map((other) => ({ ip: other })) },
    linux: { namespaces: { options: namespacesToProto(pod.config.security.namespaces) } },
  };
}

export function namespacesToProto(options: NamespaceOptions): proto.NamespaceOption {
  const { userns } = options;
  return {
    network: enumNumber(namespaceModes, options.network),
    pid: enumNumber(namespaceModes, options.pid),
    ipc: enumNumber(namespaceModes, options.ipc),
    targetId: options.targetId,
    usernsOptions:
      userns === undefined
        ? undefined
        : {
            mode: enumNumber(namespaceModes, userns.mode),
            uids: idMappingsToProto(userns.uids),
            gids: idMappingsToProto(userns.gids),
          },
  };
}

export function idMappingsToProto(mappings: readonly IdMapping[]): proto.IDMapping[] {
  return mappings.map(({ hostId, containerId, length }) => ({ hostId, containerId, length }));
}
