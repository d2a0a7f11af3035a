// Looks at many pods and their containers at once.

import type { SampleWish } from "../cgroups/cgroup-sampler.ts";
import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { sampleWish, withLayers } from "../containers/measure-containers.ts";
import type { StatsDepth } from "../kernel/kernel.ts";
import { inTurns, mapInTurns } from "../lib/turns.ts";
import { interfaceCounters } from "../network/interface-counters.ts";
import { monitorCgroup } from "../paths.ts";
import { listedContainers } from "../store/listed.ts";
import type { MeasuredContainer } from "../types/container.ts";
import type { PodId } from "../types/ids.ts";
import type { ListedPod, ProcessRef } from "../types/pod.ts";
import type { ContainerStats, NetworkSample, PodStats } from "../types/stats.ts";
import type { PodDeps } from "./deps.ts";

export type PodMeasureDeps = Pick<PodDeps, "store" | "kernel" | "sampler" | "layerUsage">;

/** With `depth` 2 the processes' descriptors are counted as well. */
export async function measurePods(
  deps: PodMeasureDeps,
  pods: readonly ListedPod[],
  depth: StatsDepth = 1,
): Promise<PodStats[]> {
  const { all, ofPod } = await runningContainers(deps, pods);
  const wishes: SampleWish[] = [];
  await inTurns(pods, (pod) => wishes.push({ path: pod.cgroupPath, depth: 0, since: pod.readyAt }));
  await inTurns(pods, (pod) =>
    wishes.push({ path: monitorCgroup(pod.cgroupPath), depth: 1, since: pod.readyAt }),
  );
  await inTurns(all, (container) => wishes.push(sampleWish(container, depth)));
  const [samples, networks] = await Promise.all([deps.sampler.sample(wishes), networksOf(deps, pods)]);
  const measured = await withLayers(deps, all, samples.slice(2 * pods.length));
  const statsOf = new Map<string, ContainerStats>();
  await inTurns(measured, (stats) => statsOf.set(stats.container.id, stats));
  return await mapInTurns(pods.entries(), ([index, pod]) => ({
    pod,
    sample: samples[index] ?? null,
    monitor: samples[pods.length + index] ?? null,
    network: networks.get(pod.id) ?? null,
    containers: (ofPod.get(pod.id) ?? []).map(({ id }) => statsOf.get(id) as ContainerStats),
  }));
}

/** Those of `pods`, one pod after the other, the oldest first. */
async function runningContainers(deps: PodMeasureDeps, pods: readonly ListedPod[]) {
  const ofPod = new Map<PodId, MeasuredContainer[]>();
  await inTurns(pods, ({ id }) => ofPod.set(id, []));
  await inTurns(await listedContainers(deps.store), (container) => {
    if (stateOfContainer(container) === "RUNNING") ofPod.get(container.podId)?.push(container);
  });
  return { all: [...ofPod.values()].flat(), ofPod };
}

/** The monitor is in its pod's network namespace: its /proc/<pid>/net shows the pod's interfaces. */
async function networksOf(
  deps: PodMeasureDeps,
  pods: readonly ListedPod[],
): Promise<Map<PodId, NetworkSample>> {
  const own: { id: PodId; monitor: ProcessRef }[] = [];
  await inTurns(pods, ({ id, netnsPath, monitor }) => {
    if (netnsPath !== "" && monitor !== null) own.push({ id, monitor });
  });
  const counters = await interfaceCounters(
    deps.kernel,
    own.map(({ monitor }) => monitor),
  );
  const found = new Map<PodId, NetworkSample>();
  await inTurns(own.entries(), ([index, { id }]) => {
    const network = counters[index];
    if (network !== undefined && network !== null) found.set(id, network);
  });
  return found;
}
