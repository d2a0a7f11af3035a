// Which containers a list is about.

import type { ContainerState, MeasuredContainer } from "../types/container.ts";
import { stateOfContainer } from "./container-lifecycle.ts";

export interface ContainerFilter {
  /** Whole id or a prefix of it. */
  readonly id?: string | undefined;
  readonly podId?: string | undefined;
  readonly state?: ContainerState | undefined;
  /** All of them must be there with these values. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** True for containers that match every part of the filter. */
export function fitsFilter(filter: ContainerFilter): (container: MeasuredContainer) => boolean {
  const labels = Object.entries(filter.labels ?? {});
  return (container) => {
    if (filter.id !== undefined && !container.id.startsWith(filter.id)) return false;
    if (filter.podId !== undefined && !container.podId.startsWith(filter.podId)) return false;
    if (filter.state !== undefined && stateOfContainer(container) !== filter.state) return false;
    return labels.every(
      ([key, value]) => Object.hasOwn(container.config.labels, key) && container.config.labels[key] === value,
    );
  };
}
