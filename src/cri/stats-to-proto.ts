// Stats as the CRI shows them. What a host does not count is left out.

import { memoryUsage } from "../containers/memory-usage.ts";
import type * as proto from "../gen/runtime/v1/api.ts";
import type {
  CgroupSample,
  ContainerStats,
  InterfaceSample,
  LayerSample,
  NetworkSample,
  PodStats,
  Pressure,
  PressureLine,
} from "../types/stats.ts";
import { nanoseconds } from "./pod-to-proto.ts";

export function containerStatsToProto(stats: ContainerStats): proto.ContainerStats {
  const { container, sample, writableLayer } = stats;
  const { metadata, labels, annotations } = container.config;
  return {
    attributes: {
      id: container.id,
      metadata: { ...metadata },
      labels: { ...labels },
      annotations: { ...annotations },
    },
    cpu: sample === null ? undefined : cpuToProto(sample),
    memory: sample === null ? undefined : memoryToProto(sample),
    writableLayer: writableLayer === null ? undefined : layerToProto(writableLayer),
    swap: sample === null ? undefined : swapToProto(sample),
    io: sample === null ? undefined : ioToProto(sample),
  };
}

export function podStatsToProto(stats: PodStats): proto.PodSandboxStats {
  const { pod, sample, network, containers } = stats;
  const { metadata, labels, annotations } = pod.config;
  return {
    attributes: {
      id: pod.id,
      metadata: { ...metadata },
      labels: { ...labels },
      annotations: { ...annotations },
    },
    linux: {
      cpu: sample === null ? undefined : cpuToProto(sample),
      memory: sample === null ? undefined : memoryToProto(sample, residentOf(stats)),
      network: network === null ? undefined : networkToProto(network),
      process:
        sample === null
          ? undefined
          : { timestamp: nanoseconds(sample.at), processCount: whole(processesOf(stats)) },
      containers: containers.map(containerStatsToProto),
      io: sample === null ? undefined : ioToProto(sample),
    },
    windows: undefined,
  };
}

function processesOf({ monitor, containers }: PodStats): number {
  const samples = [monitor, ...containers.map(({ sample }) => sample)];
  return samples.reduce((sum, sample) => sum + (sample?.processes?.processes ?? 0), 0);
}

function residentOf({ monitor, containers }: PodStats): number {
  const samples = [monitor, ...containers.map(({ sample }) => sample)];
  return samples.reduce((sum, sample) => sum + (sample?.processes?.residentBytes ?? 0), 0);
}

function cpuToProto(sample: CgroupSample): proto.CpuUsage {
  return {
    timestamp: nanoseconds(sample.at),
    usageCoreNanoSeconds: { value: BigInt(sample.cpu.usageMicros) * 1000n },
    usageNanoCores: whole(sample.nanoCores),
    psi: pressureToProto(sample.cpu.pressure),
  };
}

function memoryToProto(sample: CgroupSample, resident?: number): proto.MemoryUsage {
  const { usage, workingSet, available, rss } = memoryUsage(sample, resident);
  return {
    timestamp: nanoseconds(sample.at),
    workingSetBytes: whole(workingSet),
    availableBytes: whole(available),
    usageBytes: whole(usage),
    rssBytes: whole(rss),
    pageFaults: whole(sample.memory.faults),
    majorPageFaults: whole(sample.memory.majorFaults),
    psi: pressureToProto(sample.memory.pressure),
  };
}

function swapToProto({ at, swapCurrent, swapMax }: CgroupSample): proto.SwapUsage | undefined {
  if (swapCurrent === null) return undefined;
  const limited = swapMax !== null && Number.isFinite(swapMax);
  return {
    timestamp: nanoseconds(at),
    swapAvailableBytes: limited ? whole(Math.max(0, swapMax - swapCurrent)) : undefined,
    swapUsageBytes: whole(swapCurrent),
  };
}

function ioToProto({ at, ioPressure }: CgroupSample): proto.IoUsage {
  return { timestamp: nanoseconds(at), psi: pressureToProto(ioPressure) };
}

function layerToProto({ mountpoint, at, bytes, inodes }: LayerSample): proto.FilesystemUsage {
  return {
    timestamp: nanoseconds(at),
    fsId: { mountpoint },
    usedBytes: whole(bytes),
    inodesUsed: whole(inodes),
  };
}

/** The default interface is that of the pod's first network, which plugins are told to call "eth0". */
function networkToProto({ at, interfaces }: NetworkSample): proto.NetworkUsage {
  const first = interfaces.find(({ name }) => name === "eth0") ?? interfaces[0];
  return {
    timestamp: nanoseconds(at),
    defaultInterface: first === undefined ? undefined : interfaceToProto(first),
    interfaces: interfaces.filter((each) => each !== first).map(interfaceToProto),
  };
}

function interfaceToProto(sample: InterfaceSample): proto.NetworkInterfaceUsage {
  return {
    name: sample.name,
    rxBytes: whole(sample.rxBytes),
    rxErrors: whole(sample.rxErrors),
    txBytes: whole(sample.txBytes),
    txErrors: whole(sample.txErrors),
  };
}

function pressureToProto(pressure: Pressure | null): proto.PsiStats | undefined {
  return pressure === null
    ? undefined
    : { Full: pressureLineToProto(pressure.full), Some: pressureLineToProto(pressure.some) };
}

/** The kernel counts microseconds, the CRI nanoseconds. */
function pressureLineToProto({ totalMicros, avg10, avg60, avg300 }: PressureLine): proto.PsiData {
  return { Total: BigInt(totalMicros) * 1000n, Avg10: avg10, Avg60: avg60, Avg300: avg300 };
}

function whole(value: number | null): proto.UInt64Value | undefined {
  return value === null || !Number.isFinite(value) ? undefined : { value: BigInt(Math.trunc(value)) };
}
