// Changes limits of a cgroup that is in use: all of them, or none.

import type { CgroupKernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { applyLimits, type LimitTarget, type LimitWrite } from "./apply-limits.ts";

/** As applyLimits. When a limit cannot be set, those set before it get the values back that they had. */
export async function changeLimits(
  kernel: CgroupKernel,
  log: Logger,
  target: LimitTarget,
  writes: readonly LimitWrite[],
): Promise<{ undo: () => Promise<void> }> {
  const files = [...new Set(writes.map(({ file }) => file))];
  const before = await Promise.all(
    files.map(async (file) => ({ file, value: await kernel.readCgroup(target.cgroupPath, file) })),
  );
  const undo = async () => {
    for (const { file, value } of before.reverse()) {
      if (value !== null) await putBack(kernel, log, target.cgroupPath, file, value);
    }
  };
  try {
    await applyLimits(kernel, log, target, writes);
  } catch (error) {
    await undo();
    throw error;
  }
  return { undo };
}

/** Files with a line per device take one line at a time; an empty file takes an empty line. */
async function putBack(kernel: CgroupKernel, log: Logger, cgroup: string, file: string, value: string) {
  for (const line of value.trimEnd().split("\n")) {
    try {
      await kernel.writeCgroup(cgroup, file, `${line}\n`);
    } catch (error) {
      log.error({ cgroup, file, value: line, error: messageOf(error) }, "put a limit back");
    }
  }
}
