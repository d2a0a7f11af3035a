// Looks at many containers at once.

import type { SampleWish } from "../cgroups/cgroup-sampler.ts";
import type { StatsDepth } from "../kernel/kernel.ts";
import { mapInTurns } from "../lib/turns.ts";
import type { MeasuredContainer } from "../types/container.ts";
import type { CgroupSample, ContainerStats } from "../types/stats.ts";
import type { ContainerDeps } from "./deps.ts";

export type MeasureDeps = Pick<ContainerDeps, "sampler" | "layerUsage">;

/** What the sampler is to look at for a container. */
export function sampleWish({ cgroupPath, startedAt }: MeasuredContainer, depth: StatsDepth): SampleWish {
  return { path: cgroupPath, depth, since: startedAt };
}

/** The samples of `containers`, in their order, with what they wrote to their layers. */
export async function withLayers(
  deps: Pick<MeasureDeps, "layerUsage">,
  containers: readonly MeasuredContainer[],
  samples: readonly (CgroupSample | null)[],
): Promise<ContainerStats[]> {
  const layers = await deps.layerUsage.usage(containers.map(({ snapshot }) => snapshot));
  return await mapInTurns(containers.entries(), ([index, container]) => ({
    container,
    sample: samples[index] ?? null,
    writableLayer: layers[index] ?? null,
  }));
}

/** Samples and layers in one go. */
export async function measureContainers(
  deps: MeasureDeps,
  containers: readonly MeasuredContainer[],
): Promise<ContainerStats[]> {
  const wishes = await mapInTurns(containers, (container) => sampleWish(container, 1));
  const samples = await deps.sampler.sample(wishes);
  return await withLayers(deps, containers, samples);
}
