import { visiblePods } from "../store/pods.ts";
import type { Pod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { fitsPodFilter, type PodFilter } from "./pod-filter.ts";

/** As listPodSandbox, with all that is known of each. */
export function podsInFull(deps: Pick<PodDeps, "store">, filter: PodFilter = {}): Pod[] {
  return visiblePods(deps.store).filter(fitsPodFilter(filter));
}
