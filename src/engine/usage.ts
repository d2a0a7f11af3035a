// What containers use, for `berth stats`.

import { memoryUsage } from "../containers/memory-usage.ts";
import { ContainerUsage, type StatsRequest } from "../gen/berth/v1/engine.ts";
import type { Call } from "../lib/call.ts";
import { type EncodedList, encodeList, encodePiece } from "../lib/encode-list.ts";
import { inTurns } from "../lib/turns.ts";
import { listPodSandboxMetrics } from "../pods/list-pod-sandbox-metrics.ts";
import type { ContainerStats, InterfaceSample, PodStats } from "../types/stats.ts";
import type { EngineDeps } from "./deps.ts";
import { containerName } from "./names.ts";

/**
 * StatsResponse of running containers, the oldest first; those that are named and do not run are left out.
 */
export async function usage(deps: EngineDeps, call: Call, request: StatsRequest): Promise<EncodedList> {
  const { pods } = await listPodSandboxMetrics(deps, call);
  const wanted = new Set(request.containerIds);
  const found: { pod: PodStats; stats: ContainerStats }[] = [];
  await inTurns(pods, (pod) => {
    for (const stats of pod.containers) {
      if (wanted.size === 0 || wanted.has(stats.container.id)) found.push({ pod, stats });
    }
  });
  found.sort((a, b) => a.stats.container.createdAt - b.stats.container.createdAt);
  return await encodeList(found, ({ pod, stats }) => encodePiece(ContainerUsage, usageOf(pod, stats)));
}

function usageOf({ pod, network }: PodStats, { container, sample }: ContainerStats): ContainerUsage {
  const memory = sample === null ? null : memoryUsage(sample);
  const max = sample?.memory.max ?? null;
  const interfaces = network?.interfaces ?? [];
  return {
    id: container.id,
    name: containerName(container, pod),
    nanoCores: whole(sample?.nanoCores),
    memory: whole(memory?.workingSet),
    memoryLimit: max === null || !Number.isFinite(max) ? 0n : whole(max),
    received: whole(sum(interfaces, "rxBytes")),
    sent: whole(sum(interfaces, "txBytes")),
    read: whole(ofDevices(sample?.io, "rbytes")),
    written: whole(ofDevices(sample?.io, "wbytes")),
    processes: sample?.processes?.processes ?? 0,
  };
}

function sum(interfaces: readonly InterfaceSample[], key: "rxBytes" | "txBytes"): number {
  return interfaces.reduce((total, counters) => total + counters[key], 0);
}

/** Over all lines of io.stat: "8:0 rbytes=1 wbytes=2 …". */
function ofDevices(io: string | undefined, key: string): number {
  const found = (io ?? "").matchAll(new RegExp(`\\b${key}=(\\d+)`, "g"));
  return [...found].reduce((total, [, bytes]) => total + Number(bytes), 0);
}

function whole(value: number | undefined): bigint {
  return BigInt(Math.trunc(value ?? 0));
}
