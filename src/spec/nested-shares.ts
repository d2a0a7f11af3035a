// Bidirectional volumes in which the container has further mounts: whatever is mounted on a shared mount
// appears in all its peers, the host's among them. So such a volume is attached as a private copy, and
// becomes a peer of the host's only when all is mounted.

import { MS_SHARED } from "../types/linux.ts";
import type { PlanStep } from "../types/plan.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { guardedPaths } from "./masked-paths.ts";
import type { Volume } from "./volumes.ts";

/** Volumes that must not be shared from the beginning. */
export function nestedShares(input: ContainerPlanInput, volumes: readonly Volume[]): Volume[] {
  const shared = volumes.filter(({ propagation }) => propagation === MS_SHARED);
  if (shared.length === 0) return shared;
  const { masked, readonly } = guardedPaths(input.container.security);
  const places = [...volumes.map(({ target }) => target), ...masked, ...readonly];
  return shared.filter(({ target }) => places.some((place) => place.startsWith(`${target}/`)));
}

/** The host's mounts, as members of their peer groups; `firstSlot` is that of the first one. */
export function openShareSteps(nested: readonly Volume[], firstSlot: number): PlanStep[] {
  return nested.map(({ source, propagation }, index) => ({
    op: "open-tree",
    slot: firstSlot + index,
    source,
    recursive: false,
    idMap: "none",
    requiredPropagation: propagation,
  }));
}

/** To be done when nothing more is mounted. Mounts of the host below the volume stay private. */
export function shareSteps(nested: readonly Volume[], firstSlot: number): PlanStep[] {
  return nested.map(({ target }, index) => ({ op: "share-group", slot: firstSlot + index, target }));
}
