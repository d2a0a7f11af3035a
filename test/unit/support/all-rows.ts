// Whole tables, for a look at what is left.

import { containerNames, findContainer } from "../../../src/store/containers.ts";
import type { Store } from "../../../src/store/open.ts";
import { findPod, podIds } from "../../../src/store/pods.ts";
import type { Container } from "../../../src/types/container.ts";
import type { Pod } from "../../../src/types/pod.ts";

/** The oldest first. */
export function allPods(store: Store): Pod[] {
  return podIds(store)
    .map((id) => findPod(store, id) as Pod)
    .sort((a, b) => a.createdAt - b.createdAt);
}

/** The oldest first. */
export function allContainers(store: Store): Container[] {
  return containerNames(store)
    .sort((a, b) => a.snapshot - b.snapshot)
    .map(({ id }) => findContainer(store, id) as Container);
}
