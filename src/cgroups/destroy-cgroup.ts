// Kills what lives in a cgroup and removes it.

import type { CgroupKernel } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";

/** How long processes may take to die after SIGKILL. */
export const KILL_TIMEOUT_MS = 10_000;

/** SIGKILL to everything in the cgroup and below; resolves when nothing is left. A missing cgroup is fine. */
export async function emptyCgroup(kernel: CgroupKernel, path: string, what: string): Promise<void> {
  if (!(await kernel.killCgroup(path, KILL_TIMEOUT_MS))) throw notEmpty(path, what);
}

/** The same, and the cgroup goes. */
export async function destroyCgroup(kernel: CgroupKernel, path: string, what: string): Promise<void> {
  if (!(await kernel.destroyCgroup(path, KILL_TIMEOUT_MS))) throw notEmpty(path, what);
}

function notEmpty(path: string, what: string): BerthError {
  return new BerthError(
    "UNAVAILABLE",
    `kill ${what}: processes in cgroup "${path}" are still there ` +
      `${KILL_TIMEOUT_MS / 1000} s after SIGKILL; ` +
      "they are stuck in the kernel, most often on a dead volume. Try again when it answers",
  );
}
