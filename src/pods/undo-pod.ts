// Undoes a RunPodSandbox that did not come to its commit, now or at the next start.

import type { Call } from "../lib/call.ts";
import { deletePod, findPod } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { PodDeps } from "./deps.ts";
import { releasePod } from "./release-pod.ts";

/**
 * Removes everything of a pod that never became ready. Throws when something is still held: the row then
 * stays.
 */
export async function undoPod(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  const pod = findPod(deps.store, id);
  if (pod === null || pod.readyAt !== null) return;
  await releasePod(deps, call, pod);
  await deps.kernel.removeTree(deps.paths.podState(id));
  deletePod(deps.store, id);
}
