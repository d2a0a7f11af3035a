// Rows of numbers from the kernel as samples.

import type { StatsReading } from "../kernel/kernel.ts";
import { STATS_FIELDS } from "../kernel/stats.ts";
import type { CgroupSample, CpuSample, MemorySample, Pressure, ProcessSample } from "../types/stats.ts";

export type RawSample = Omit<CgroupSample, "nanoCores" | "hugepages"> & {
  readonly hugepages: ReadonlyMap<string, number>;
};

const WIDTH = STATS_FIELDS.length;
const COLUMN: ReadonlyMap<string, number> = new Map(STATS_FIELDS.map((name, index) => [name, index]));

/** The value of a column: null for NaN, which is what the host does not count. */
type Row = (field: string) => number | null;

/** The sample in row `index`, or null when its cgroup was not there. */
export function decodeSample(reading: StatsReading, index: number): RawSample | null {
  const row: Row = (field) => {
    const value = reading.numbers[index * WIDTH + (COLUMN.get(field) as number)] as number;
    return Number.isNaN(value) ? null : value;
  };
  const at = row("wallMicros");
  if (at === null) return null;
  return {
    at,
    monotonicMicros: row("monotonicMicros") ?? 0,
    cpu: cpuOf(row),
    memory: memoryOf(row),
    swapCurrent: row("swapCurrent"),
    swapMax: row("swapMax"),
    pidsMax: row("pidsMax"),
    ioPressure: pressureOf(row, "io"),
    processes: processesOf(row),
    io: reading.io[index] ?? "",
    hugepages: hugepagesOf(reading.hugepages[index] ?? ""),
  };
}

function cpuOf(row: Row): CpuSample {
  return {
    usageMicros: row("cpuUsageMicros") ?? 0,
    userMicros: row("cpuUserMicros") ?? 0,
    systemMicros: row("cpuSystemMicros") ?? 0,
    periods: row("cpuPeriods"),
    throttledPeriods: row("cpuThrottledPeriods"),
    throttledMicros: row("cpuThrottledMicros"),
    quota: row("cpuQuota"),
    period: row("cpuPeriod"),
    weight: row("cpuWeight"),
    pressure: pressureOf(row, "cpu"),
  };
}

function memoryOf(row: Row): MemorySample {
  return {
    current: row("memoryCurrent"),
    peak: row("memoryPeak"),
    max: row("memoryMax"),
    low: row("memoryLow"),
    anon: row("memoryAnon"),
    file: row("memoryFile"),
    kernel: row("memoryKernel"),
    fileMapped: row("memoryFileMapped"),
    inactiveFile: row("memoryInactiveFile"),
    faults: row("memoryFaults"),
    majorFaults: row("memoryMajorFaults"),
    limitHits: row("memoryLimitHits"),
    oomKills: row("memoryOomKills"),
    pressure: pressureOf(row, "memory"),
  };
}

/** Older kernels have no "full" line for the CPU: it is nothing then. */
function pressureOf(row: Row, resource: string): Pressure | null {
  if (row(`${resource}SomeMicros`) === null) return null;
  const line = (kind: string) => ({
    avg10: row(`${resource}${kind}10`) ?? 0,
    avg60: row(`${resource}${kind}60`) ?? 0,
    avg300: row(`${resource}${kind}300`) ?? 0,
    totalMicros: row(`${resource}${kind}Micros`) ?? 0,
  });
  return { some: line("Some"), full: line("Full") };
}

function processesOf(row: Row): ProcessSample | null {
  const processes = row("processes");
  if (processes === null) return null;
  return {
    processes,
    threads: row("threads") ?? 0,
    residentBytes: row("residentBytes") ?? 0,
    descriptors: row("descriptors"),
    sockets: row("sockets"),
    softNofile: row("softNofile"),
  };
}

function hugepagesOf(lines: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of lines.split("\n")) {
    const [size, bytes] = line.split(" ");
    if (size !== undefined && bytes !== undefined) found.set(size, Number(bytes));
  }
  return found;
}
