import { BerthError } from "../lib/errors.ts";
import { cgroupWrites } from "../spec/resources.ts";
import { commitPodResources } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { LinuxResources } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { stateOfPod } from "./pod-lifecycle.ts";
import { podSandboxStatus } from "./pod-sandbox-status.ts";

export interface PodResources {
  /** Absent: as before. */
  readonly overhead: LinuxResources | undefined;
  /** The sum over the pod's containers. Absent: as before. */
  readonly resources: LinuxResources | undefined;
}

/**
 * Takes note of a READY pod's new overhead and sum of resources (CRI, UpdatePodSandboxResources). The client
 * has set the limits of the pod's parent cgroup itself, and those of containers come with
 * UpdateContainerResources: as at RunPodSandbox, the pod's own cgroup has none.
 */
export function updatePodSandboxResources(
  deps: Pick<PodDeps, "store">,
  id: PodId,
  wanted: PodResources,
): void {
  const pod = podSandboxStatus(deps, id);
  if (stateOfPod(pod) !== "READY") {
    throw new BerthError("FAILED_PRECONDITION", `update pod sandbox "${id}": it is NOTREADY`);
  }
  for (const resources of [wanted.overhead, wanted.resources]) {
    // Refuses values that no kernel takes.
    if (resources !== undefined) cgroupWrites(resources);
  }
  commitPodResources(deps.store, id, wanted);
}
