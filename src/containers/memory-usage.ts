// Memory as consumers count it, from what the kernel counts.

import type { CgroupSample } from "../types/stats.ts";

export interface MemoryUsage {
  readonly usage: number;
  /** What cannot be given back without harm: all but the file pages that were not used for long. */
  readonly workingSet: number;
  /** Until the limit; null without one. */
  readonly available: number | null;
  readonly rss: number;
}

/**
 * Bytes of a cgroup. Where the host has no memory controller only the resident memory of the processes is
 * known, which `resident` may give when the sample did not look at them.
 */
export function memoryUsage(
  sample: CgroupSample,
  resident = sample.processes?.residentBytes ?? 0,
): MemoryUsage {
  const { current, inactiveFile, anon, max } = sample.memory;
  if (current === null) return { usage: resident, workingSet: resident, available: null, rss: resident };
  const workingSet = Math.max(0, current - (inactiveFile ?? 0));
  const limited = max !== null && Number.isFinite(max);
  return {
    usage: current,
    workingSet,
    available: limited ? Math.max(0, max - workingSet) : null,
    rss: anon ?? resident,
  };
}
