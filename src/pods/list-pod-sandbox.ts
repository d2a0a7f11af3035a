import { filterInTurns } from "../lib/turns.ts";
import { listedPods } from "../store/listed.ts";
import type { ListedPod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { fitsPodFilter, type PodFilter } from "./pod-filter.ts";

/**
 * Pods that match every part of the filter, the oldest first, as they all were at one instant (CRI,
 * ListPodSandbox).
 */
export async function listPodSandbox(
  deps: Pick<PodDeps, "store">,
  filter: PodFilter = {},
): Promise<ListedPod[]> {
  return await filterInTurns(await listedPods(deps.store), fitsPodFilter(filter));
}
