import { visibleContainers } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { PodId } from "../types/ids.ts";
import type { ContainerDeps } from "./deps.ts";

/** The containers of a pod that clients may see, the oldest first, with all that is known of each. */
export function containersInFull(deps: Pick<ContainerDeps, "store">, podId: PodId): Container[] {
  return visibleContainers(deps.store, podId);
}
