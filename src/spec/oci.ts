// The same facts as a plan, as an OCI runtime config.json: what foreign runtimes and hooks are given.

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
import type { OciMount, OciNamespace, OciSpec } from "../types/oci-runtime.ts";
import type { IdMapping, UserMapping } from "../types/pod.ts";
import { extraNodes } from "./devices.ts";
import type { ContainerPlanInput, OciSpecInput } from "./inputs.ts";
import { guardedPaths } from "./masked-paths.ts";
import { containerPlacement } from "./namespaces.ts";
import { ociProcess } from "./oci-process.ts";
import { ociSeccomp } from "./oci-seccomp.ts";
import { processArguments, processEnvironment, workingDirectory } from "./process.ts";
import { boundDevices, boundSystemMount, mountSource } from "./runtime-mounts.ts";
import { DEV, devpts, type MountStep, MQUEUE, PROC, SAFE, sysMounts, TTY_GROUP } from "./system-mounts.ts";
import { hostId, userMappingOf } from "./user-namespace.ts";
import { type Volume, volumesOf } from "./volumes.ts";

/** What runtimes of the last years all read. */
export const OCI_VERSION = "1.0.2";

/**
 * Describes the container of `input`. Left out is what berth has done itself before the runtime begins: the
 * pod's host name and sysctls (the monitor's), limits and device filter (in the cgroup), the OOM score, and
 * resource limits that a daemon without CAP_SYS_RESOURCE cannot raise (inherited from the runtime's process).
 */
export function toOciSpec(input: OciSpecInput): OciSpec {
  const { container, pod, user, image } = input.container;
  const guarded = guardedPaths(container.security);
  const { hooks } = input;
  const mapping = userMappingOf(pod.security.namespaces);
  return {
    ociVersion: OCI_VERSION,
    root: { path: input.rootPath, readonly: container.security.readonlyRootfs },
    process: ociProcess({
      args: processArguments(container, image),
      env: processEnvironment(input.container),
      cwd: workingDirectory(container.workingDir, image),
      terminal: container.tty,
      user,
      security: container.security,
      privileged: container.security.privileged,
      host: input.container.host,
      selinuxLabel: input.container.selinux?.process,
    }),
    mounts: mountsOf(input.container),
    annotations: { ...pod.annotations, ...container.annotations },
    ...(Object.keys(hooks).length === 0 ? {} : { hooks: JSON.parse(JSON.stringify(hooks)) }),
    linux: {
      namespaces: namespacesOf(input),
      ...idMappings(mapping),
      devices: (mapping === null ? extraNodes(input.container) : []).map(({ mode, access: _, ...node }) => ({
        ...node,
        fileMode: mode,
      })),
      ...(input.container.selinux == null ? {} : { mountLabel: input.container.selinux.mount }),
      maskedPaths: [...guarded.masked],
      readonlyPaths: [...guarded.readonly],
      // berth's own filter of the cgroup decides. Without a rule some runtimes would load one of theirs.
      resources: { devices: [{ allow: true, access: "rwm" }] },
      cgroupsPath: input.cgroupsPath,
      rootfsPropagation: propagationOf(input.container),
      ...(input.seccomp === null ? {} : { seccomp: ociSeccomp(input.seccomp) }),
    },
  };
}

function mountsOf(input: ContainerPlanInput): OciMount[] {
  const mapping = userMappingOf(input.pod.security.namespaces);
  const system = (step: MountStep) => boundSystemMount(input, step) ?? systemMount(step);
  const shm: OciMount = {
    destination: "/dev/shm",
    type: "bind",
    source: mountSource(input, "shm"),
    options: mapping === null ? ["bind", "rw", ...attributeOptions(SAFE)] : ["bind"],
  };
  // The group is given as the container knows it, which in a small user namespace is not at all.
  const hasTty = mapping === null || hostId(mapping.gids, TTY_GROUP) !== null;
  return [
    ...[PROC, DEV, devpts(hasTty ? TTY_GROUP : null)].map(system),
    shm,
    system(MQUEUE),
    ...sysMounts(input.container.security.privileged).map(system),
    ...(mapping === null ? [] : boundDevices(input)),
    ...volumesOf(input).map((volume, index) =>
      volumeMount(volume, mountSource(input, index), mapping !== null),
    ),
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

/**
 * The source has the attributes already, also where they are recursive. In a user namespace they are locked
 * then, and so may be others of the host's mount: naming some would ask for a change of the rest.
 */
function volumeMount(volume: Volume, source: string, locked: boolean): OciMount {
  const kind =
    volume.propagation === MS_SHARED ? "shared" : volume.propagation === MS_PRIVATE ? "private" : "slave";
  const readonly = (volume.attributes & MOUNT_ATTR_RDONLY) !== 0;
  const attributes = [...attributeOptions(volume.attributes), ...(readonly ? [] : ["rw"])];
  const options = [volume.recursive ? "rbind" : "bind", `r${kind}`, ...(locked ? [] : attributes)];
  return { destination: volume.target, type: "bind", source, options };
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

/** What is not listed is the runtime's own, which is the host's. */
function namespacesOf(input: OciSpecInput): OciNamespace[] {
  const { pod, container } = input.container;
  const { namespaces: paths } = input;
  const shared = pod.security.namespaces;
  const { cloneFlags, pidNamespace } = containerPlacement(pod, container);
  const namespaces: OciNamespace[] = [{ type: "mount" }, { type: "cgroup" }];
  // First: it owns the others.
  if (userMappingOf(shared) !== null) namespaces.unshift(namespace("user", paths.user));
  if ((cloneFlags & CLONE_NEWPID) !== 0) namespaces.push({ type: "pid" });
  else if (pidNamespace !== "own") namespaces.push(namespace("pid", paths.pid));
  if (shared.network !== "NODE") {
    namespaces.push(namespace("network", paths.network), namespace("uts", paths.uts));
  }
  if (shared.ipc !== "NODE") namespaces.push(namespace("ipc", paths.ipc));
  return namespaces;
}

/** Some runtimes look here and not into the namespace for who is root. */
function idMappings(mapping: UserMapping | null): Partial<OciSpec["linux"]> {
  if (mapping === null) return {};
  const lines = ({ containerId, hostId: first, length }: IdMapping) => {
    return [{ containerID: containerId, hostID: first, size: length }];
  };
  return { uidMappings: lines(mapping.uids), gidMappings: lines(mapping.gids) };
}

function namespace(type: string, path: string | undefined): OciNamespace {
  return path === undefined ? { type } : { type, path };
}

/** A volume that tells the host of its mounts needs a root that tells its parent. */
function propagationOf(input: ContainerPlanInput): string {
  return volumesOf(input).some((volume) => volume.propagation === MS_SHARED) ? "rshared" : "rslave";
}
