import { changeLimits } from "../cgroups/change-limits.ts";
import { makeRoom } from "../cgroups/make-room.ts";
import type { Call } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { oomScoreStep } from "../spec/limits.ts";
import { cgroupWrites } from "../spec/resources.ts";
import { commitContainerResources } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import { type LinuxResources, NO_RESOURCES } from "../types/pod.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";

/**
 * Changes limits of a CREATED or RUNNING container. Zero and empty mean "leave as it is" (CRI,
 * UpdateContainerResources). When one cannot be set, those set before it are put back. FAILED_PRECONDITION
 * for a memory limit below what cannot be given back.
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
  const before = container.config.resources ?? NO_RESOURCES;
  const after = merge(before, wanted);
  // Refuses a score that no kernel takes before anything is changed.
  if (wanted.oomScoreAdj !== 0) oomScoreStep(wanted.oomScoreAdj, deps.host);
  const writes = cgroupWrites(after);
  if (wanted.memoryLimitBytes > 0) await requireRoom(deps, container, wanted.memoryLimitBytes);
  const { undo } = await changeLimits(deps.kernel, call.log, target, writes);
  try {
    if (after.oomScoreAdj !== before.oomScoreAdj) {
      await deps.kernel.setOomScore(container.cgroupPath, after.oomScoreAdj, !deps.host.capSysResource);
    }
    commitContainerResources(deps.store, id, after);
  } catch (error) {
    await undo();
    throw error;
  }
}

/** A limit below what cannot be taken back would end the container. */
async function requireRoom(deps: ContainerDeps, container: Container, limit: number): Promise<void> {
  const held = await makeRoom(deps.kernel, container.cgroupPath, limit);
  if (held === null) return;
  throw new BerthError(
    "FAILED_PRECONDITION",
    `update container "${container.id}": memory_limit_in_bytes ${limit} is below the ${held} bytes that ` +
      "it holds and cannot give back, and the kernel would kill its processes; choose a higher limit",
  );
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
    memorySwapLimitBytes: wanted.memorySwapLimitBytes || swapBeside(before, wanted.memoryLimitBytes),
  };
}

/** The limit includes memory: with more or less of that, what may be swapped stays. */
function swapBeside(before: LinuxResources, memoryLimitBytes: number): number {
  const { memorySwapLimitBytes: swap, memoryLimitBytes: memory } = before;
  return swap > 0 && memoryLimitBytes > 0 ? swap - memory + memoryLimitBytes : swap;
}
