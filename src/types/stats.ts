// What is measured of containers and pods. null is what this host or kernel does not count; Infinity is a
// limit of "max".

import type { MeasuredContainer } from "./container.ts";
import type { ByteString, Micros } from "./ids.ts";
import type { ListedPod } from "./pod.ts";

/** One line of a pressure file (kernel, PSI). Averages are per cent of 10, 60 and 300 seconds. */
export interface PressureLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalMicros: number;
}

export interface Pressure {
  readonly some: PressureLine;
  readonly full: PressureLine;
}

export interface CpuSample {
  readonly usageMicros: number;
  readonly userMicros: number;
  readonly systemMicros: number;
  readonly periods: number | null;
  readonly throttledPeriods: number | null;
  readonly throttledMicros: number | null;
  readonly quota: number | null;
  readonly period: number | null;
  readonly weight: number | null;
  readonly pressure: Pressure | null;
}

/** Bytes. All null without the memory controller. */
export interface MemorySample {
  readonly current: number | null;
  readonly peak: number | null;
  readonly max: number | null;
  readonly low: number | null;
  readonly anon: number | null;
  readonly file: number | null;
  readonly kernel: number | null;
  readonly fileMapped: number | null;
  readonly inactiveFile: number | null;
  readonly faults: number | null;
  readonly majorFaults: number | null;
  readonly limitHits: number | null;
  readonly oomKills: number | null;
  readonly pressure: Pressure | null;
}

/** Counted over the processes of a cgroup and of those beneath it. */
export interface ProcessSample {
  readonly processes: number;
  readonly threads: number;
  /** Resident memory; pages that several share count for each. */
  readonly residentBytes: number;
  /** null when not asked for. */
  readonly descriptors: number | null;
  readonly sockets: number | null;
  /** Soft limit of open files of one of them. */
  readonly softNofile: number | null;
}

export interface CgroupSample {
  readonly at: Micros;
  readonly monotonicMicros: number;
  readonly cpu: CpuSample;
  /** Billionths of a CPU, over the time since an earlier look or since the beginning. */
  readonly nanoCores: number;
  readonly memory: MemorySample;
  readonly swapCurrent: number | null;
  readonly swapMax: number | null;
  readonly pidsMax: number | null;
  readonly ioPressure: Pressure | null;
  /** null when not asked for. */
  readonly processes: ProcessSample | null;
  /** Lines of io.stat: "<major>:<minor> rbytes=<n> …". */
  readonly io: string;
  /** By page size, such as "2MB": now, and the most that was seen at a look. */
  readonly hugepages: ReadonlyMap<string, { readonly bytes: number; readonly most: number }>;
}

/** Counters of a network interface since it was made. */
export interface InterfaceSample {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

export interface NetworkSample {
  readonly at: Micros;
  readonly interfaces: readonly InterfaceSample[];
}

/** What a container wrote to its own layer. */
export interface LayerSample {
  /** Directory on the file system that holds it, as ImageFsInfo names it. */
  readonly mountpoint: string;
  readonly at: Micros;
  readonly bytes: number;
  readonly inodes: number;
}

export interface ContainerStats {
  readonly container: MeasuredContainer;
  /** null when the container has no cgroup any more. */
  readonly sample: CgroupSample | null;
  /** null when it was not measured yet. */
  readonly writableLayer: LayerSample | null;
}

export interface PodStats {
  readonly pod: ListedPod;
  /** The pod's whole cgroup, the monitor included; null when it is gone. */
  readonly sample: CgroupSample | null;
  /** The monitor's own, with its processes. */
  readonly monitor: CgroupSample | null;
  /** null for pods in the host's network, and without a monitor. */
  readonly network: NetworkSample | null;
  /** Running containers, the oldest first. */
  readonly containers: readonly ContainerStats[];
}

/** How full the file system of the writable layers is. */
export interface FilesystemCapacity {
  readonly device: string;
  readonly bytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

/** A process of a container, in the host's terms. */
export interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  /** Since the epoch. */
  readonly startedMs: number;
  readonly cpuMs: number;
  /** Arguments as byte strings. */
  readonly command: readonly ByteString[];
}
