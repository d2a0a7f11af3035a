import { applyLimits } from "../cgroups/apply-limits.ts";
import type { Call } from "../lib/call.ts";
import { cgroupWrites } from "../spec/resources.ts";
import { commitContainerResources } from "../store/containers.ts";
import type { ContainerId } from "../types/ids.ts";
import type { LinuxResources } from "../types/pod.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";

const NONE: LinuxResources = {
  cpuPeriod: 0,
  cpuQuota: 0,
  cpuShares: 0,
  memoryLimitBytes: 0,
  oomScoreAdj: 0,
  cpusetCpus: "",
  cpusetMems: "",
  hugepageLimits: [],
  unified: {},
  memorySwapLimitBytes: 0,
};

/**
 * Changes limits of a CREATED or RUNNING container. Zero and empty mean "leave as it is" (CRI,
 * UpdateContainerResources). When one cannot be set, those set before it are put back.
 */
export function updateContainerResources(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  wanted: LinuxResources,
): Promise<void> {
  return deps.mutex.run(`resources ${id}`, () => update(deps, call, id, wanted));
}

async function update(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  wanted: LinuxResources,
): Promise<void> {
  const container = containerStatus(deps, id);
  requireState(container, "update");
  const target = {
    mount: await deps.kernel.cgroupMount(),
    cgroupPath: container.cgroupPath,
    available: deps.host.cgroupControllers,
    missingController: deps.config.missingController,
  };
  const before = container.config.resources ?? NONE;
  const after = merge(before, wanted);
  try {
    await applyLimits(deps.kernel, call.log, target, cgroupWrites(after));
  } catch (error) {
    const restore = { ...target, missingController: "warn" as const };
    await applyLimits(deps.kernel, call.log, restore, cgroupWrites(before));
    throw error;
  }
  commitContainerResources(deps.store, id, after);
}

function merge(before: LinuxResources, wanted: LinuxResources): LinuxResources {
  return {
    cpuPeriod: wanted.cpuPeriod || before.cpuPeriod,
    cpuQuota: wanted.cpuQuota || before.cpuQuota,
    cpuShares: wanted.cpuShares || before.cpuShares,
    memoryLimitBytes: wanted.memoryLimitBytes || before.memoryLimitBytes,
    oomScoreAdj: wanted.oomScoreAdj || before.oomScoreAdj,
    cpusetCpus: wanted.cpusetCpus || before.cpusetCpus,
    cpusetMems: wanted.cpusetMems || before.cpusetMems,
    hugepageLimits: wanted.hugepageLimits.length > 0 ? wanted.hugepageLimits : before.hugepageLimits,
    unified: { ...before.unified, ...wanted.unified },
    memorySwapLimitBytes: wanted.memorySwapLimitBytes || before.memorySwapLimitBytes,
  };
}
