// Daemons switch cgroup controllers on, from the root of the hierarchy down, for the limits of their pods.
// A run of tests or of a bench gives back those that were off before.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where the host has its cgroup2 mount. */
export function cgroupMount(): string {
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, target, type] = line.split(" ");
    if (type === "cgroup2" && target !== undefined) return target;
  }
  throw new Error("this host has no cgroup2 mount");
}

/** Looks which are on in the root, and returns how to switch those off that came since. */
export function rememberControllers(): () => void {
  const file = join(cgroupMount(), "cgroup.subtree_control");
  const now = () => readFileSync(file, "utf8").split(/\s+/).filter(Boolean);
  const before = new Set(now());
  return () => {
    for (const controller of now().filter((one) => !before.has(one))) {
      try {
        writeFileSync(file, `-${controller}`);
      } catch (error) {
        // Somebody else has a cgroup that uses it.
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
      }
    }
  };
}
