import { filterInTurns } from "../lib/turns.ts";
import { listedContainers } from "../store/listed.ts";
import type { ListedContainer } from "../types/container.ts";
import { type ContainerFilter, fitsFilter } from "./container-filter.ts";
import type { ContainerDeps } from "./deps.ts";

/**
 * Containers that match every part of the filter, the oldest first, as they all were at one instant (CRI,
 * ListContainers).
 */
export async function listContainers(
  deps: Pick<ContainerDeps, "store">,
  filter: ContainerFilter = {},
): Promise<ListedContainer[]> {
  return await filterInTurns(await listedContainers(deps.store), fitsFilter(filter));
}
