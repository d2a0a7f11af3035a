import { listedContainers } from "../store/listed.ts";
import type { ListedContainer } from "../types/container.ts";
import { type ContainerFilter, fitsFilter } from "./container-filter.ts";
import type { ContainerDeps } from "./deps.ts";

/** Containers that match every part of the filter, the oldest first (CRI, ListContainers). */
export function listContainers(
  deps: Pick<ContainerDeps, "store">,
  filter: ContainerFilter = {},
): ListedContainer[] {
  const whole = filter.podId?.length === 64 ? filter.podId : undefined;
  return listedContainers(deps.store, whole).filter(fitsFilter(filter));
}
