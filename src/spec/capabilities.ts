// Capability names, the default set, and what a container's process gets of them.

import type { HostFacts } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import type { ContainerSecurity } from "../types/container.ts";
import type { CapabilitySets } from "./inputs.ts";

/** By number (linux/capability.h). */
export const CAPABILITY_NAMES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
] as const;

export type CapabilityName = (typeof CAPABILITY_NAMES)[number];

/**
 * What a container has that asks for nothing: the set that images are built against. With MKNOD nodes can be
 * made, and the filter on the container's cgroup keeps them from being opened; without a filter it would
 * open every disk of the host to root in a container, so there it is not in the set.
 */
export const DEFAULT_CAPABILITIES: readonly CapabilityName[] = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
];

const NUMBERS: ReadonlyMap<string, number> = new Map(CAPABILITY_NAMES.map((name, number) => [name, number]));

export function capabilityMask(names: readonly CapabilityName[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(NUMBERS.get(name)!)), 0n);
}

/** Names of a mask, "CAP_…", ascending. Numbers newer than the table are "CAP_<number>". */
export function capabilityList(mask: bigint): string[] {
  const names: string[] = [];
  for (let number = 0; number < 64; number++) {
    if (((mask >> BigInt(number)) & 1n) === 1n) names.push(`CAP_${CAPABILITY_NAMES[number] ?? number}`);
  }
  return names;
}

/** What the host can give: the kernel's capabilities, and whether the daemon holds the one it may lack. */
export type CapabilityHost = Pick<HostFacts, "lastCapability" | "capSysResource" | "deviceFilter">;

/** All capabilities that the host can give. */
export function allCapabilities(host: CapabilityHost): bigint {
  const all = (1n << BigInt(host.lastCapability + 1)) - 1n;
  return host.capSysResource ? all : all & ~capabilityMask(["SYS_RESOURCE"]);
}

/** "NET_ADMIN", "CAP_NET_ADMIN" in any case, or "ALL". */
function maskOf(name: string, list: string, host: CapabilityHost): bigint {
  const bare = name.toUpperCase().replace(/^CAP_/, "");
  if (bare === "ALL") return allCapabilities(host);
  const number = NUMBERS.get(bare);
  if (number === undefined) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `capabilities: unknown name "${name}" in ${list}; see capabilities(7), with or without CAP_`,
    );
  }
  const mask = 1n << BigInt(number);
  if ((allCapabilities(host) & mask) === 0n) {
    if (list === "drop") return 0n;
    throw new BerthError(
      "INVALID_ARGUMENT",
      `capabilities: "${name}" in ${list} is not the host's to give: its kernel or the daemon lacks it`,
    );
  }
  return mask;
}

function union(names: readonly string[], list: string, host: CapabilityHost): bigint {
  return names.reduce((mask, name) => mask | maskOf(name, list, host), 0n);
}

function isAll(name: string): boolean {
  return name.toUpperCase().replace(/^CAP_/, "") === "ALL";
}

/**
 * The five sets of a container's process, as they must be before execve (capabilities(7), "Transformation").
 * A drop of ALL comes before the adds, an add of ALL before the drops, single drops win over single adds:
 * "drop ALL, add X" leaves X, "add ALL, drop X" leaves all but X. Ambient ones are in every set.
 * A user other than root keeps only its ambient capabilities: the kernel would take the others at execve.
 */
export function capabilitySets(
  security: Pick<ContainerSecurity, "addCapabilities" | "dropCapabilities" | "ambientCapabilities">,
  privileged: boolean,
  uid: number,
  host: CapabilityHost,
): CapabilitySets {
  const all = allCapabilities(host);
  const ambient = union(security.ambientCapabilities, "add_ambient", host);
  let bounding = capabilityMask(DEFAULT_CAPABILITIES);
  if (!host.deviceFilter) bounding &= ~capabilityMask(["MKNOD"]);
  if (security.dropCapabilities.some(isAll)) bounding = 0n;
  bounding |= union(security.addCapabilities, "add", host);
  const singleDrops = security.dropCapabilities.filter((name) => !isAll(name));
  bounding &= ~union(singleDrops, "drop", host);
  bounding = (privileged ? all : bounding | ambient) & all;
  const held = uid === 0 ? bounding : ambient;
  return { bounding, effective: held, permitted: held, inheritable: ambient, ambient };
}
