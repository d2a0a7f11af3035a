// The filter of devices on a container's cgroup.

import type { CgroupKernel, DeviceRule, HostFacts } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { BerthError, wrapError } from "../lib/errors.ts";
import type { LimitTarget } from "./apply-limits.ts";

export type FilterTarget = Pick<LimitTarget, "cgroupPath" | "missingController"> &
  Pick<HostFacts, "deviceFilter">;

/**
 * Must have come before a program runs in the cgroup. Where the kernel cannot filter, the container is
 * refused (FAILED_PRECONDITION), or left unfiltered with a warning when the configuration says so for
 * controllers.
 */
export async function limitDevices(
  kernel: CgroupKernel,
  log: Logger,
  target: FilterTarget,
  rules: readonly DeviceRule[],
): Promise<void> {
  if (target.deviceFilter) {
    await kernel.attachDeviceFilter(target.cgroupPath, rules).catch((error) => {
      throw wrapError("filter devices", error);
    });
    return;
  }
  const problem = "the kernel does not let the daemon filter devices by BPF";
  if (target.missingController === "warn") {
    log.warn({ cgroup: target.cgroupPath }, `${problem}: left out`);
    return;
  }
  throw new BerthError(
    "FAILED_PRECONDITION",
    `${problem}; give it CAP_BPF, or set missing_controller = "warn" in berth.toml to run without the filter`,
  );
}
