// Applies limits to a cgroup: enables the controllers on the way down, then writes.

import { dirname } from "node:path";
import type { CgroupKernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { BerthError, wrapError } from "../lib/errors.ts";

export interface LimitWrite {
  readonly file: string;
  readonly value: string;
  readonly controller: string;
}

export interface LimitTarget {
  readonly mount: string;
  /** Absolute directory beneath `mount`. */
  readonly cgroupPath: string;
  /** Controllers that the host has in this hierarchy. */
  readonly available: readonly string[];
  readonly missingController: "refuse" | "warn";
}

/**
 * Writes every limit. A limit whose controller the host lacks is refused (FAILED_PRECONDITION, by name),
 * or left out with a warning when the configuration says so. Nothing is written when one is refused.
 */
export async function applyLimits(
  kernel: CgroupKernel,
  log: Logger,
  target: LimitTarget,
  writes: readonly LimitWrite[],
): Promise<void> {
  const possible: LimitWrite[] = [];
  for (const write of writes) {
    if (write.controller === "" || target.available.includes(write.controller)) possible.push(write);
    else refuseOrWarn(log, target, write);
  }
  const controllers = [...new Set(possible.map((write) => write.controller))].filter((name) => name !== "");
  if (controllers.length > 0) await enableControllers(kernel, target, controllers);
  for (const { file, value } of possible) {
    try {
      await kernel.writeCgroup(target.cgroupPath, file, value);
    } catch (error) {
      throw wrapError(`set limit "${file}" to "${value}"`, error);
    }
  }
}

function refuseOrWarn(log: Logger, target: LimitTarget, write: LimitWrite): void {
  const controller = `cgroup v2 controller "${write.controller}"`;
  const problem = `limit "${write.file}" needs the ${controller}, which this host lacks`;
  if (target.missingController === "warn") {
    log.warn({ cgroup: target.cgroupPath, file: write.file, value: write.value }, `${problem}: left out`);
    return;
  }
  throw new BerthError(
    "FAILED_PRECONDITION",
    `${problem}; boot with "cgroup_no_v1=all", ` +
      'or set missing_controller = "warn" in berth.toml to run without the limit',
  );
}

/**
 * A controller acts in a cgroup only when every ancestor passes it on (cgroup-v2, "Enabling and Disabling").
 */
async function enableControllers(
  kernel: CgroupKernel,
  target: LimitTarget,
  controllers: readonly string[],
): Promise<void> {
  for (const directory of ancestors(target)) {
    const enabled = ((await kernel.readCgroup(directory, "cgroup.subtree_control")) ?? "").split(/\s+/);
    const wanted = controllers.filter((name) => !enabled.includes(name));
    if (wanted.length === 0) continue;
    try {
      await kernel.writeCgroup(
        directory,
        "cgroup.subtree_control",
        wanted.map((name) => `+${name}`).join(" "),
      );
    } catch (error) {
      throw wrapError(`enable cgroup controllers "${wanted.join(" ")}" in "${directory}"`, error);
    }
  }
}

/** The directories above the cgroup, from the mount point down. */
function ancestors(target: LimitTarget): string[] {
  const found: string[] = [];
  let directory = dirname(target.cgroupPath);
  while (directory.length > target.mount.length) {
    found.unshift(directory);
    directory = dirname(directory);
  }
  return [target.mount, ...found];
}
