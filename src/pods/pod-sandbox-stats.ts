import type { Call } from "../lib/call.ts";
import type { PodId } from "../types/ids.ts";
import type { PodStats } from "../types/stats.ts";
import { measurePods, type PodMeasureDeps } from "./measure-pods.ts";
import { podSandboxStatus } from "./pod-sandbox-status.ts";

/** What the pod and its running containers use (CRI, PodSandboxStats). NOT_FOUND when it is not there. */
export async function podSandboxStats(deps: PodMeasureDeps, _call: Call, id: PodId): Promise<PodStats> {
  const [stats] = await measurePods(deps, [podSandboxStatus(deps, id)]);
  return stats as PodStats;
}
