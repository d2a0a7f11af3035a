// Looks at many pods and their containers at once.

import { sampleWish, withLayers } from "../containers/measure-containers.ts";
import type { StatsDepth } from "../kernel/kernel.ts";
import { interfaceCounters } from "../network/interface-counters.ts";
import { monitorCgroup } from "../paths.ts";
import { runningContainers } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { NetworkSample, PodStats } from "../types/stats.ts";
import type { PodDeps } from "./deps.ts";

export type PodMeasureDeps = Pick<PodDeps, "store" | "kernel" | "sampler" | "layerUsage">;

/** With `depth` 2 the processes' descriptors are counted as well. */
export async function measurePods(
  deps: PodMeasureDeps,
  pods: readonly Pod[],
  depth: StatsDepth = 1,
): Promise<PodStats[]> {
  const running = runningByPod(deps, pods);
  const containers = pods.flatMap((pod) => running.get(pod.id) ?? []);
  const wishes = [
    ...pods.map((pod) => ({ path: pod.cgroupPath, depth: 0 as const, since: pod.readyAt })),
    ...pods.map((pod) => ({ path: monitorCgroup(pod.cgroupPath), depth: 1 as const, since: pod.readyAt })),
    ...containers.map((container) => sampleWish(container, depth)),
  ];
  const [samples, networks] = await Promise.all([deps.sampler.sample(wishes), networksOf(deps, pods)]);
  const measured = await withLayers(deps, containers, samples.slice(2 * pods.length));
  const byPod = Map.groupBy(measured, ({ container }) => container.podId);
  return pods.map((pod, index) => ({
    pod,
    sample: samples[index] ?? null,
    monitor: samples[pods.length + index] ?? null,
    network: networks.get(pod.id) ?? null,
    containers: byPod.get(pod.id) ?? [],
  }));
}

function runningByPod(deps: PodMeasureDeps, pods: readonly Pod[]): Map<PodId, Container[]> {
  const [only] = pods;
  const rows = runningContainers(deps.store, pods.length === 1 ? only?.id : undefined);
  return Map.groupBy(rows, ({ podId }) => podId);
}

/** The monitor is in its pod's network namespace: its /proc/<pid>/net shows the pod's interfaces. */
async function networksOf(deps: PodMeasureDeps, pods: readonly Pod[]): Promise<Map<PodId, NetworkSample>> {
  const own = pods.flatMap(({ id, netnsPath, monitor }) =>
    netnsPath === "" || monitor === null ? [] : [{ id, monitor }],
  );
  const counters = await interfaceCounters(
    deps.kernel,
    own.map(({ monitor }) => monitor),
  );
  const found = new Map<PodId, NetworkSample>();
  for (const [index, { id }] of own.entries()) {
    const network = counters[index];
    if (network !== undefined && network !== null) found.set(id, network);
  }
  return found;
}
