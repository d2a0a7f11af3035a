import type { Call } from "../lib/call.ts";
import type { PodStats } from "../types/stats.ts";
import { listPodSandbox } from "./list-pod-sandbox.ts";
import { measurePods, type PodMeasureDeps } from "./measure-pods.ts";
import type { PodFilter } from "./pod-filter.ts";

/** What the READY pods that fit the filter use, the oldest first (CRI, ListPodSandboxStats). */
export async function listPodSandboxStats(
  deps: PodMeasureDeps,
  _call: Call,
  filter: PodFilter = {},
): Promise<PodStats[]> {
  return await measurePods(deps, await listPodSandbox(deps, { ...filter, state: "READY" }));
}
