import type { Call } from "../lib/call.ts";
import type { ContainerStats } from "../types/stats.ts";
import type { ContainerFilter } from "./container-filter.ts";
import type { ContainerDeps } from "./deps.ts";
import { listContainers } from "./list-containers.ts";
import { type MeasureDeps, measureContainers } from "./measure-containers.ts";

/** What the running containers that fit the filter use, the oldest first (CRI, ListContainerStats). */
export async function listContainerStats(
  deps: MeasureDeps & Pick<ContainerDeps, "store">,
  _call: Call,
  filter: ContainerFilter = {},
): Promise<ContainerStats[]> {
  return await measureContainers(deps, await listContainers(deps, { ...filter, state: "RUNNING" }));
}
