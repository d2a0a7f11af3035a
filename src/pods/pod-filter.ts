// Which pods a list is about.

import type { ListedPod, PodState } from "../types/pod.ts";
import { stateOfPod } from "./pod-lifecycle.ts";

export interface PodFilter {
  /** Whole id or a prefix of it. */
  readonly id?: string | undefined;
  readonly state?: PodState | undefined;
  /** All of them must be there with these values. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** True for pods that match every part of the filter. */
export function fitsPodFilter(filter: PodFilter): (pod: ListedPod) => boolean {
  const labels = Object.entries(filter.labels ?? {});
  return (pod) => {
    if (filter.id !== undefined && !pod.id.startsWith(filter.id)) return false;
    if (filter.state !== undefined && stateOfPod(pod) !== filter.state) return false;
    return labels.every(
      ([key, value]) => Object.hasOwn(pod.config.labels, key) && pod.config.labels[key] === value,
    );
  };
}
