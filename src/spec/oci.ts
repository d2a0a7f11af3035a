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
import { extraNodes } from "./devices.ts";
import type { ContainerPlanInput, OciSpecInput } from "./inputs.ts";
import { guardedPaths } from "./masked-paths.ts";
import { containerPlacement } from "./namespaces.ts";
import { ociProcess } from "./oci-process.ts";
import { ociSeccomp } from "./oci-seccomp.ts";
import { processArguments, processEnvironment, workingDirectory } from "./process.ts";
import { DEV, devpts, type MountStep, MQUEUE, PROC, SAFE, sysMounts, TTY_GROUP } from "./system-mounts.ts";
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
    mounts: mountsOf(input),
    annotations: { ...pod.annotations, ...container.annotations },
    ...(Object.keys(hooks).length === 0 ? {} : { hooks: JSON.parse(JSON.stringify(hooks)) }),
    linux: {
      namespaces: namespacesOf(input),
      devices: extraNodes(input.container).map(({ mode, access: _, ...node }) => ({
        ...node,
        fileMode: mode,
      })),
      ...(input.container.selinux == null ? {} : { mountLabel: input.container.selinux.mount }),
      maskedPaths: guarded.masked,
      readonlyPaths: guarded.readonly,
      // berth's own filter of the cgroup decides. Without a rule some runtimes would load one of theirs.
      resources: { devices: [{ allow: true, access: "rwm" }] },
      cgroupsPath: input.cgroupsPath,
      rootfsPropagation: propagationOf(input.container),
      ...(input.seccomp === null ? {} : { seccomp: ociSeccomp(input.seccomp) }),
    },
  };
}

function mountsOf(input: OciSpecInput): OciMount[] {
  const shm: OciMount = {
    destination: "/dev/shm",
    type: "bind",
    source: input.mountSource("shm"),
    options: ["bind", "rw", ...attributeOptions(SAFE)],
  };
  return [
    ...[PROC, DEV, devpts(TTY_GROUP)].map(systemMount),
    shm,
    systemMount(MQUEUE),
    ...sysMounts(input.container.container.security.privileged).map(systemMount),
    ...volumesOf(input.container).map((volume, index) => volumeMount(volume, input.mountSource(index))),
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

function volumeMount(volume: Volume, source: string): OciMount {
  const kind =
    volume.propagation === MS_SHARED ? "shared" : volume.propagation === MS_PRIVATE ? "private" : "slave";
  const readonly = (volume.attributes & MOUNT_ATTR_RDONLY) !== 0;
  const options = [
    volume.recursive ? "rbind" : "bind",
    `r${kind}`,
    ...attributeOptions(volume.attributes).filter((option) => option !== "ro"),
    readonly ? (volume.recursiveAttributes ? "rro" : "ro") : "rw",
  ];
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

/** A volume that tells the host of its mounts needs a root that tells its parent. */
function propagationOf(input: ContainerPlanInput): string {
  return volumesOf(input).some((volume) => volume.propagation === MS_SHARED) ? "rshared" : "rslave";
}
