import { visibleContainers } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import { type ContainerFilter, fitsFilter } from "./container-filter.ts";
import type { ContainerDeps } from "./deps.ts";

/** As listContainers, with all that is known of each. */
export function containersInFull(
  deps: Pick<ContainerDeps, "store">,
  filter: ContainerFilter = {},
): Container[] {
  const whole = filter.podId?.length === 64 ? filter.podId : undefined;
  return visibleContainers(deps.store, whole).filter(fitsFilter(filter));
}
