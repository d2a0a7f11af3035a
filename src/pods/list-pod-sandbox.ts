import { listedPods } from "../store/listed.ts";
import type { ListedPod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { fitsPodFilter, type PodFilter } from "./pod-filter.ts";

/** Pods that match every part of the filter, the oldest first (CRI, ListPodSandbox). */
export function listPodSandbox(deps: Pick<PodDeps, "store">, filter: PodFilter = {}): ListedPod[] {
  return listedPods(deps.store).filter(fitsPodFilter(filter));
}
