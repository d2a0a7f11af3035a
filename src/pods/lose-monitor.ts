// A connection to a monitor broke although nobody closed it.

import { killContainer } from "../containers/kill-container.ts";
import { nowMicros } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { visibleContainers } from "../store/containers.ts";
import { findPod, markPodStopped } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { monitorEvents } from "./monitor-events.ts";
import { stateOfPod } from "./pod-lifecycle.ts";
import { CONNECT_TIMEOUT_MS } from "./start-monitor.ts";

/**
 * A monitor that still lives is connected to again. A dead one takes its pod with it: the pod is NOTREADY,
 * its containers are killed and recorded from the exit records. What the pod still holds is given back by
 * StopPodSandbox, or by the daemon itself.
 */
export async function loseMonitor(deps: PodDeps, podId: PodId): Promise<void> {
  deps.monitors.delete(podId);
  const pod = findPod(deps.store, podId);
  if (pod === null || stateOfPod(pod) !== "READY") return;
  if (isMonitorAlive(deps, pod) && (await reconnect(deps, pod))) return;
  await endLostPod(deps, pod);
}

export function isMonitorAlive(deps: PodDeps, pod: Pod): boolean {
  const { monitor } = pod;
  if (monitor === null || pod.bootId !== deps.host.bootId) return false;
  return deps.kernel.processStartTime(monitor.pid) === monitor.startTime;
}

async function reconnect(deps: PodDeps, pod: Pod): Promise<boolean> {
  try {
    const socket = deps.paths.monitorSocket(pod.id);
    const events = monitorEvents(deps);
    const monitor = await deps.monitorDriver.connect(pod.id, socket, events, CONNECT_TIMEOUT_MS);
    deps.monitors.set(pod.id, monitor);
    return true;
  } catch (error) {
    deps.log.warn({ pod: pod.id, error: messageOf(error) }, "monitor does not answer");
    // It lives, and may only be stopped for a while: the reconciler goes on trying.
    return isMonitorAlive(deps, pod);
  }
}

/** The monitor of the pod is dead. */
export async function endLostPod(deps: PodDeps, pod: Pod): Promise<void> {
  deps.log.error({ pod: pod.id }, "the pod's monitor ended unexpectedly: the pod is NOTREADY");
  markPodStopped(deps.store, pod.id, nowMicros());
  const running = visibleContainers(deps.store, pod.id).filter((row) => row.finishedAt === null);
  await Promise.all(running.map((container) => killContainer(deps, container)));
  deps.events({ type: "pod-stopped", podId: pod.id, at: nowMicros() });
}
