import type { Call } from "../lib/call.ts";
import type { ContainerId } from "../types/ids.ts";
import type { ContainerStats } from "../types/stats.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { type MeasureDeps, measureContainers } from "./measure-containers.ts";

/**
 * What the container uses (CRI, ContainerStats). NOT_FOUND when it is not there; an ended one uses nothing.
 */
export async function containerStats(
  deps: MeasureDeps & Pick<ContainerDeps, "store">,
  _call: Call,
  id: ContainerId,
): Promise<ContainerStats> {
  const [stats] = await measureContainers(deps, [containerStatus(deps, id)]);
  return stats as ContainerStats;
}
