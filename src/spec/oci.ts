// The same facts as a plan, as an OCI runtime config.json: for `inspect` and for foreign runtimes.

import {
  CLONE_NEWPID,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_PRIVATE,
  MS_SHARED,
} from "../types/linux.ts";
import type { OciMount, OciNamespace, OciProcess, OciResources, OciSpec } from "../types/oci-runtime.ts";
import type { LinuxResources } from "../types/pod.ts";
import { capabilityList, capabilitySets } from "./capabilities.ts";
import { appArmorProfile } from "./confinement.ts";
import { extraNodes } from "./devices.ts";
import { UMASK } from "./identity.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { processLimits } from "./limits.ts";
import { guardedPaths } from "./masked-paths.ts";
import { containerPlacement } from "./namespaces.ts";
import { processArguments, processEnvironment, workingDirectory } from "./process.ts";
import { sysctlSteps } from "./sysctls.ts";
import { DEV, devpts, type MountStep, MQUEUE, PROC, SAFE, sysMounts, TTY_GROUP } from "./system-mounts.ts";
import { type Volume, volumesOf } from "./volumes.ts";

/** Namespaces that exist already, by their paths; one that is missing here is described as new. */
export interface NamespacePaths {
  readonly network?: string | undefined;
  readonly ipc?: string | undefined;
  readonly uts?: string | undefined;
  readonly pid?: string | undefined;
}

/** RLIM_INFINITY as JSON can carry it: the specification's values are unsigned 64-bit numbers. */
const OCI_INFINITY = Number.MAX_SAFE_INTEGER;

/**
 * Describes the container of `input`. The seccomp filter is not part of it: the plan holds it compiled.
 * The root is described by the directory where it is attached inside the container's mount namespace.
 */
export function toOciSpec(input: ContainerPlanInput, paths: NamespacePaths = {}): OciSpec {
  const { container, pod } = input;
  const guarded = guardedPaths(container.security);
  const sharesHostName = pod.security.namespaces.network === "NODE" || pod.hostname === "";
  return {
    ociVersion: "1.2.0",
    root: { path: input.paths.rootAttach, readonly: container.security.readonlyRootfs },
    ...(sharesHostName ? {} : { hostname: pod.hostname }),
    process: processOf(input),
    mounts: mountsOf(input),
    annotations: { ...container.annotations },
    linux: {
      namespaces: namespacesOf(input, paths),
      devices: extraNodes(input).map(({ mode, access: _, ...node }) => ({ ...node, fileMode: mode })),
      maskedPaths: guarded.masked,
      readonlyPaths: guarded.readonly,
      sysctl: sysctlsOf(input),
      resources: resourcesOf(container.resources),
    },
  };
}

function processOf(input: ContainerPlanInput): OciProcess {
  const { container, host, image, user } = input;
  const { security } = container;
  const sets = capabilitySets(security, security.privileged, user.uid, host);
  const profile = appArmorProfile(security, host);
  return {
    terminal: container.tty,
    user: { uid: user.uid, gid: user.gid, umask: UMASK, additionalGids: [...user.groups] },
    args: processArguments(container, image),
    env: processEnvironment(input).map((entry) => Buffer.from(entry, "latin1").toString("utf8")),
    cwd: workingDirectory(container.workingDir, image),
    capabilities: {
      bounding: capabilityList(sets.bounding),
      effective: capabilityList(sets.effective),
      permitted: capabilityList(sets.permitted),
      inheritable: capabilityList(sets.inheritable),
      ambient: capabilityList(sets.ambient),
    },
    rlimits: processLimits(host).map(({ name, soft, hard }) => ({
      type: name,
      soft: soft < 0 ? OCI_INFINITY : soft,
      hard: hard < 0 ? OCI_INFINITY : hard,
    })),
    noNewPrivileges: security.noNewPrivs,
    oomScoreAdj: container.resources?.oomScoreAdj ?? 0,
    ...(profile === null ? {} : { apparmorProfile: profile }),
  };
}

function mountsOf(input: ContainerPlanInput): OciMount[] {
  const shm: OciMount = {
    destination: "/dev/shm",
    type: "bind",
    source: "/dev/shm",
    options: ["bind", ...attributeOptions(SAFE)],
  };
  return [
    ...[PROC, DEV, devpts(TTY_GROUP)].map(systemMount),
    shm,
    systemMount(MQUEUE),
    ...sysMounts(input.container.security.privileged).map(systemMount),
    ...volumesOf(input).map(volumeMount),
  ];
}

function systemMount(step: MountStep): OciMount {
  return {
    destination: step.target,
    type: step.fstype === "cgroup2" ? "cgroup" : step.fstype,
    source: step.source,
    options: [...attributeOptions(step.attributes), ...step.options],
  };
}

function volumeMount(volume: Volume): OciMount {
  const kind =
    volume.propagation === MS_SHARED ? "shared" : volume.propagation === MS_PRIVATE ? "private" : "slave";
  const readonly = (volume.attributes & MOUNT_ATTR_RDONLY) !== 0;
  const options = [
    volume.recursive ? "rbind" : "bind",
    `r${kind}`,
    ...attributeOptions(volume.attributes).filter((option) => option !== "ro"),
    readonly ? (volume.recursiveAttributes ? "rro" : "ro") : "rw",
  ];
  return { destination: volume.target, type: "bind", source: volume.source, options };
}

function attributeOptions(attributes: number): string[] {
  const names: [number, string][] = [
    [MOUNT_ATTR_NOSUID, "nosuid"],
    [MOUNT_ATTR_NODEV, "nodev"],
    [MOUNT_ATTR_NOEXEC, "noexec"],
    [MOUNT_ATTR_STRICTATIME, "strictatime"],
    [MOUNT_ATTR_RDONLY, "ro"],
  ];
  return names.filter(([attribute]) => (attributes & attribute) !== 0).map(([, name]) => name);
}

function namespacesOf(input: ContainerPlanInput, paths: NamespacePaths): OciNamespace[] {
  const shared = input.pod.security.namespaces;
  const { cloneFlags, pidNamespace } = containerPlacement(input.pod, input.container);
  const namespaces: OciNamespace[] = [{ type: "mount" }, { type: "cgroup" }];
  if ((cloneFlags & CLONE_NEWPID) !== 0) namespaces.push({ type: "pid" });
  else if (pidNamespace !== "own") namespaces.push(namespace("pid", paths.pid));
  if (shared.network !== "NODE") {
    namespaces.push(namespace("network", paths.network), namespace("uts", paths.uts));
  }
  if (shared.ipc !== "NODE") namespaces.push(namespace("ipc", paths.ipc));
  return namespaces;
}

function namespace(type: string, path: string | undefined): OciNamespace {
  return path === undefined ? { type } : { type, path };
}

function sysctlsOf(input: ContainerPlanInput): Record<string, string> {
  return Object.fromEntries(
    sysctlSteps(input.pod).flatMap((step) => (step.op === "sysctl" ? [[step.key, step.value]] : [])),
  );
}

function resourcesOf(resources: LinuxResources | undefined): OciResources {
  if (resources === undefined) return {};
  const memory = withoutZero({ limit: resources.memoryLimitBytes, swap: resources.memorySwapLimitBytes });
  const cpu = {
    ...withoutZero({ shares: resources.cpuShares, quota: resources.cpuQuota, period: resources.cpuPeriod }),
    ...(resources.cpusetCpus === "" ? {} : { cpus: resources.cpusetCpus }),
    ...(resources.cpusetMems === "" ? {} : { mems: resources.cpusetMems }),
  };
  return {
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(resources.hugepageLimits.length === 0
      ? {}
      : { hugepageLimits: resources.hugepageLimits.map((limit) => ({ ...limit })) }),
    ...(Object.keys(resources.unified).length === 0 ? {} : { unified: { ...resources.unified } }),
  };
}

/** Zero means "not set" in the CRI and "none at all" in the OCI specification. */
function withoutZero<Key extends string>(values: Record<Key, number>): Partial<Record<Key, number>> {
  const set = Object.entries(values).filter(([, value]) => value !== 0);
  return Object.fromEntries(set) as Partial<Record<Key, number>>;
}
