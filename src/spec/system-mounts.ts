// The mounts that make a directory tree a Linux system: /proc, /dev, /sys and what is below them.

import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
} from "../types/linux.ts";
import type { PlanStep } from "../types/plan.ts";
import { deviceSteps } from "./devices.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { hostId, userMappingOf } from "./user-namespace.ts";

export const SAFE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

export type MountStep = Extract<PlanStep, { op: "mount" }>;

/** "tty" in every distribution since the first ones; devpts gives new terminals to it. */
export const TTY_GROUP = 5;

export const PROC: MountStep = filesystem("proc", "/proc", SAFE, []);
/** Devices live here, so no nodev; programs that map /dev/zero executable exist, so no noexec. */
export const DEV: MountStep = filesystem("tmpfs", "/dev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, [
  "mode=755",
  "size=65536k",
]);
/** `gid` is the host's id of the tty group; null: the pod's user namespace has no such group. */
export function devpts(gid: number | null): MountStep {
  const options = ["newinstance", "ptmxmode=0666", "mode=0620"];
  if (gid !== null) options.push(`gid=${gid}`);
  return filesystem("devpts", "/dev/pts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, options);
}
export const MQUEUE: MountStep = filesystem("mqueue", "/dev/mqueue", SAFE, []);

/** /sys and the container's own cgroups below it: read-only unless privileged. */
export function sysMounts(privileged: boolean): MountStep[] {
  const attributes = privileged ? SAFE : SAFE | MOUNT_ATTR_RDONLY;
  return [
    filesystem("sysfs", "/sys", attributes, []),
    { ...filesystem("cgroup2", "/sys/fs/cgroup", attributes, []), source: "cgroup", createTarget: false },
  ];
}

/** In order; `shmSlot` holds the /dev/shm of the pod or, with the host's IPC namespace, of the host. */
export function systemSteps(input: ContainerPlanInput, shmSlot: number): PlanStep[] {
  const mapping = userMappingOf(input.pod.security.namespaces);
  return [
    PROC,
    DEV,
    ...deviceSteps(input),
    devpts(mapping === null ? TTY_GROUP : hostId(mapping.gids, TTY_GROUP)),
    {
      op: "attach-tree",
      slot: shmSlot,
      target: "/dev/shm",
      setAttributes: SAFE,
      clearAttributes: 0,
      propagation: 0,
      recursiveAttributes: false,
      createTarget: true,
    },
    MQUEUE,
    ...sysMounts(input.container.security.privileged),
  ];
}

function filesystem(fstype: string, target: string, attributes: number, options: string[]): MountStep {
  return { op: "mount", fstype, source: fstype, target, attributes, options, createTarget: true };
}
