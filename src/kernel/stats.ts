// Counters of cgroups and network namespaces, through the addon.

import type { ProcessText, StatsKernel, StatsReading } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

const PRESSURE = ["Some10", "Some60", "Some300", "SomeMicros", "Full10", "Full60", "Full300", "FullMicros"];

/** Columns of a row, as in addon/kernel/stats.h. */
export const STATS_FIELDS = [
  "wallMicros",
  "monotonicMicros",
  "cpuUsageMicros",
  "cpuUserMicros",
  "cpuSystemMicros",
  "cpuPeriods",
  "cpuThrottledPeriods",
  "cpuThrottledMicros",
  "cpuQuota",
  "cpuPeriod",
  "cpuWeight",
  "memoryCurrent",
  "memoryPeak",
  "memoryMax",
  "memoryLow",
  "memoryAnon",
  "memoryFile",
  "memoryKernel",
  "memoryFileMapped",
  "memoryInactiveFile",
  "memoryFaults",
  "memoryMajorFaults",
  "memoryLimitHits",
  "memoryOomKills",
  "swapCurrent",
  "swapMax",
  "pidsMax",
  ...PRESSURE.map((name) => `cpu${name}`),
  ...PRESSURE.map((name) => `memory${name}`),
  ...PRESSURE.map((name) => `io${name}`),
  "processes",
  "threads",
  "residentBytes",
  "descriptors",
  "sockets",
  "softNofile",
] as const;

/** The doors of addon/binding/stats.cc. */
export interface StatsNative {
  readStats(paths: readonly string[], depths: readonly number[]): Promise<StatsReading>;
  readProcesses(cgroup: string): Promise<ProcessText[]>;
  readNetworkDevices(pids: readonly number[], startTimes: readonly number[]): Promise<string[]>;
}

/** Rejects with KernelError: EINVAL for paths that are not beneath the cgroup2 mount. */
export function makeStatsKernel(native: StatsNative): StatsKernel {
  return {
    readStats: (wishes) =>
      native
        .readStats(
          wishes.map(({ path }) => path),
          wishes.map(({ depth }) => depth),
        )
        .catch(rethrow),
    readProcesses: (cgroup) => native.readProcesses(cgroup).catch(rethrow),
    readNetworkDevices: (processes) =>
      native
        .readNetworkDevices(
          processes.map(({ pid }) => pid),
          processes.map(({ startTime }) => startTime),
        )
        .catch(rethrow),
  };
}
