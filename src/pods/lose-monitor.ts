// A connection to a monitor broke although nobody closed it.

import { killContainer } from "../containers/kill-container.ts";
import { nowMicros } from "../lib/clock.ts";
import { visibleContainers } from "../store/containers.ts";
import { findPod, markPodStopped } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { stateOfPod } from "./pod-lifecycle.ts";

/**
 * A monitor that still lives is connected to again by the reconciler. A dead one takes its pod with it: the
 * pod is NOTREADY, its containers are killed and recorded from the exit records. What the pod still holds
 * is given back by StopPodSandbox, or by the reconciler.
 */
export async function loseMonitor(deps: PodDeps, podId: PodId): Promise<void> {
  deps.monitors.delete(podId);
  const pod = findPod(deps.store, podId);
  if (pod === null || stateOfPod(pod) !== "READY") return;
  if (isMonitorAlive(deps, pod)) deps.log.warn({ pod: podId }, "connection to the pod's monitor broke");
  else await endLostPod(deps, pod);
}

/** True when the pod's monitor, and no later process of the same pid, exists. */
export function isMonitorAlive(deps: Pick<PodDeps, "kernel" | "host">, pod: Pod): boolean {
  const { monitor } = pod;
  if (monitor === null || pod.bootId !== deps.host.bootId) return false;
  return deps.kernel.processStartTime(monitor.pid) === monitor.startTime;
}

/** Records that the pod's monitor is dead, and ends what ran under it. */
export async function endLostPod(deps: PodDeps, pod: Pod): Promise<void> {
  deps.log.error({ pod: pod.id }, "the pod's monitor is gone: the pod is NOTREADY");
  markPodStopped(deps.store, pod.id, nowMicros());
  const running = visibleContainers(deps.store, pod.id).filter((row) => row.finishedAt === null);
  await Promise.all(running.map((container) => killContainer(deps, container)));
  deps.events({ type: "pod-stopped", podId: pod.id, at: nowMicros() });
}
