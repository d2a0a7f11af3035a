import type { Call } from "../lib/call.ts";
import type { PodStats } from "../types/stats.ts";
import { measurePods, type PodMeasureDeps } from "./measure-pods.ts";
import type { PodFilter } from "./pod-filter.ts";
import { podsInFull } from "./pods-in-full.ts";

/** What the READY pods that fit the filter use, the oldest first (CRI, ListPodSandboxStats). */
export async function listPodSandboxStats(
  deps: PodMeasureDeps,
  _call: Call,
  filter: PodFilter = {},
): Promise<PodStats[]> {
  return await measurePods(deps, podsInFull(deps, { ...filter, state: "READY" }));
}
