// Debian's crun refuses a host that mounts cgroup v1 and v2 at once, and Debian's runc uses v1 there. Peers
// therefore run in a private mount namespace that shows one version only; the host's mounts stay untouched.

import { readFileSync } from "node:fs";

export type CgroupView = "as it is" | "v1 only" | "v2 only";

/** Commands for a shell inside `unshare --mount --propagation private`; nothing on a host without v1. */
export function viewCommands(view: CgroupView): string[] {
  const mounts = cgroupMounts();
  if (view === "as it is" || mounts.every(({ type }) => type === "cgroup2")) return [];
  const unwanted = mounts.filter(({ type }) => view === "v2 only" || type === "cgroup2");
  const commands = unwanted.map(({ path }) => `umount ${path}`);
  if (view === "v1 only") return commands;
  return [...commands, "umount /sys/fs/cgroup", "mount -t cgroup2 cgroup2 /sys/fs/cgroup"];
}

/** True when both versions are mounted. */
export function isHybrid(): boolean {
  const types = cgroupMounts().map(({ type }) => type);
  return types.includes("cgroup") && types.includes("cgroup2");
}

function cgroupMounts(): { path: string; type: string }[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const mounts = lines.map((line) => line.split(" ")).map(([, path = "", type = ""]) => ({ path, type }));
  return mounts.filter(({ type }) => type === "cgroup" || type === "cgroup2");
}
