import type { Call } from "../lib/call.ts";
import { runningContainers } from "../store/containers.ts";
import type { ContainerStats } from "../types/stats.ts";
import { type ContainerFilter, fitsFilter } from "./container-filter.ts";
import type { ContainerDeps } from "./deps.ts";
import { type MeasureDeps, measureContainers } from "./measure-containers.ts";

/** What the running containers that fit the filter use, the oldest first (CRI, ListContainerStats). */
export async function listContainerStats(
  deps: MeasureDeps & Pick<ContainerDeps, "store">,
  _call: Call,
  filter: ContainerFilter = {},
): Promise<ContainerStats[]> {
  const fits = fitsFilter(filter);
  return await measureContainers(deps, runningContainers(deps.store).filter(fits));
}
