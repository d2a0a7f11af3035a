import { visibleContainers } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import { type ContainerFilter, fitsFilter } from "./container-filter.ts";
import type { ContainerDeps } from "./deps.ts";

/** Containers that match every part of the filter, the oldest first (CRI, ListContainers). */
export function listContainers(
  deps: Pick<ContainerDeps, "store">,
  filter: ContainerFilter = {},
): Container[] {
  const whole = filter.podId?.length === 64 ? filter.podId : undefined;
  return visibleContainers(deps.store, whole).filter(fitsFilter(filter));
}
