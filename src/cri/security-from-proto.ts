// What pods and containers have in common: namespaces, profiles, labels, users and limits.

import type * as proto from "../gen/runtime/v1/api.ts";
import type {
  IdMapping,
  LinuxResources,
  NamespaceOptions,
  SecurityProfile,
  SelinuxOptions,
  UserNamespaceOptions,
} from "../types/pod.ts";
import { groupsPolicies, namespaceModes, profileTypes } from "./enums.ts";
import { enumName, integerWithin, invalidField, numericId, safeInteger, text, textMap } from "./fields.ts";

/** An absent message means POD for all of them, the PID namespace included (CRI, NamespaceOption). */
const podNamespaces: NamespaceOptions = { network: "POD", pid: "POD", ipc: "POD", targetId: "" };

export function namespacesFromProto(
  message: proto.NamespaceOption | undefined,
  path: string,
): NamespaceOptions {
  if (message === undefined) return podNamespaces;
  return {
    network: enumName(namespaceModes, message.network, `${path}.network`),
    pid: enumName(namespaceModes, message.pid, `${path}.pid`),
    ipc: enumName(namespaceModes, message.ipc, `${path}.ipc`),
    targetId: text(message.targetId, `${path}.target_id`),
    userns: userNamespaceFromProto(message.usernsOptions, `${path}.userns_options`),
  };
}

function userNamespaceFromProto(
  message: proto.UserNamespace | undefined,
  path: string,
): UserNamespaceOptions | undefined {
  if (message === undefined) return undefined;
  return {
    mode: enumName(namespaceModes, message.mode, `${path}.mode`),
    uids: idMappingsFromProto(message.uids),
    gids: idMappingsFromProto(message.gids),
  };
}

/** The fields are 32 bits wide on the wire: every value can be kept. */
export function idMappingsFromProto(messages: readonly proto.IDMapping[]): IdMapping[] {
  return messages.map(({ hostId, containerId, length }) => ({ hostId, containerId, length }));
}

const LOCALHOST = "localhost/";

/**
 * A seccomp or AppArmor profile. Absent stays absent; an empty message is RuntimeDefault. `legacy` is the
 * deprecated string form ("runtime/default", "unconfined", "localhost/…"), used when the message is absent.
 */
export function profileFromProto(
  message: proto.SecurityProfile | undefined,
  path: string,
  legacy: string,
  legacyPath: string,
): SecurityProfile | undefined {
  if (message !== undefined) {
    return {
      type: enumName(profileTypes, message.profileType, `${path}.profile_type`),
      localhostRef: withoutLocalhost(text(message.localhostRef, `${path}.localhost_ref`)),
    };
  }
  if (legacy === "") return undefined;
  if (legacy === "runtime/default" || legacy === "docker/default") {
    return { type: "RuntimeDefault", localhostRef: "" };
  }
  if (legacy === "unconfined") return { type: "Unconfined", localhostRef: "" };
  if (legacy.startsWith(LOCALHOST)) {
    return { type: "Localhost", localhostRef: withoutLocalhost(text(legacy, legacyPath)) };
  }
  throw invalidField(legacyPath, `is "${legacy}", not "runtime/default", "unconfined" or "localhost/…"`);
}

/** Clients of the older form write the prefix into the newer field as well. */
function withoutLocalhost(reference: string): string {
  return reference.startsWith(LOCALHOST) ? reference.slice(LOCALHOST.length) : reference;
}

function selinuxFromProto(
  message: proto.SELinuxOption | undefined,
  path: string,
): SelinuxOptions | undefined {
  if (message === undefined) return undefined;
  return {
    user: text(message.user, `${path}.user`),
    role: text(message.role, `${path}.role`),
    type: text(message.type, `${path}.type`),
    level: text(message.level, `${path}.level`),
  };
}

/** A user or group id that may be absent, which differs from 0. */
function idFromProto(message: proto.Int64Value | undefined, path: string): number | undefined {
  return message === undefined ? undefined : numericId(message.value, path);
}

/** Who it is and what confines it: the fields that a pod's security context and a container's both have. */
export function commonSecurityFromProto(
  message: proto.LinuxSandboxSecurityContext | proto.LinuxContainerSecurityContext | undefined,
  path: string,
) {
  return {
    privileged: message?.privileged ?? false,
    selinux: selinuxFromProto(message?.selinuxOptions, `${path}.selinux_options`),
    runAsUser: idFromProto(message?.runAsUser, `${path}.run_as_user`),
    runAsGroup: idFromProto(message?.runAsGroup, `${path}.run_as_group`),
    readonlyRootfs: message?.readonlyRootfs ?? false,
    supplementalGroups: (message?.supplementalGroups ?? []).map((value, index) =>
      numericId(value, `${path}.supplemental_groups[${index}]`),
    ),
    supplementalGroupsPolicy: enumName(
      groupsPolicies,
      message?.supplementalGroupsPolicy ?? 0,
      `${path}.supplemental_groups_policy`,
    ),
    seccomp: profileFromProto(
      message?.seccomp,
      `${path}.seccomp`,
      message?.seccompProfilePath ?? "",
      `${path}.seccomp_profile_path`,
    ),
  };
}

export function resourcesFromProto(
  message: proto.LinuxContainerResources | undefined,
  path: string,
): LinuxResources | undefined {
  if (message === undefined) return undefined;
  return {
    cpuPeriod: safeInteger(message.cpuPeriod, `${path}.cpu_period`),
    cpuQuota: safeInteger(message.cpuQuota, `${path}.cpu_quota`),
    cpuShares: safeInteger(message.cpuShares, `${path}.cpu_shares`),
    memoryLimitBytes: safeInteger(message.memoryLimitInBytes, `${path}.memory_limit_in_bytes`),
    oomScoreAdj: integerWithin(message.oomScoreAdj, -1000, 1000, `${path}.oom_score_adj`),
    cpusetCpus: text(message.cpusetCpus, `${path}.cpuset_cpus`),
    cpusetMems: text(message.cpusetMems, `${path}.cpuset_mems`),
    hugepageLimits: message.hugepageLimits.map((entry, index) => ({
      pageSize: text(entry.pageSize, `${path}.hugepage_limits[${index}].page_size`),
      limit: safeInteger(entry.limit, `${path}.hugepage_limits[${index}].limit`),
    })),
    unified: textMap(message.unified, `${path}.unified`),
    memorySwapLimitBytes: safeInteger(message.memorySwapLimitInBytes, `${path}.memory_swap_limit_in_bytes`),
  };
}
