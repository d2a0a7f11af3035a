import { visiblePods } from "../store/pods.ts";
import type { Pod, PodState } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { stateOfPod } from "./pod-lifecycle.ts";

export interface PodFilter {
  /** Whole id or a prefix of it. */
  readonly id?: string | undefined;
  readonly state?: PodState | undefined;
  /** All of them must be there with these values. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Pods that match every part of the filter, the oldest first (CRI, ListPodSandbox). */
export function listPodSandbox(deps: Pick<PodDeps, "store">, filter: PodFilter = {}): Pod[] {
  const labels = Object.entries(filter.labels ?? {});
  return visiblePods(deps.store).filter((pod) => {
    if (filter.id !== undefined && !pod.id.startsWith(filter.id)) return false;
    if (filter.state !== undefined && stateOfPod(pod) !== filter.state) return false;
    return labels.every(
      ([key, value]) => Object.hasOwn(pod.config.labels, key) && pod.config.labels[key] === value,
    );
  });
}
