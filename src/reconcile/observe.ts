// Looks at what is left of a pod: its processes, its monitor, the records on disk.

import { messageOf } from "../lib/errors.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { PodDeps } from "../pods/deps.ts";
import { isMonitorAlive } from "../pods/lose-monitor.ts";
import { monitorEvents } from "../pods/monitor-events.ts";
import { stateOfPod } from "../pods/pod-lifecycle.ts";
import { findContainer } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { ContainerObservation, PodObservation } from "./decide.ts";

/** A monitor that takes longer is hung: its pod is judged without it, and tried again later. */
const CONNECT_TIMEOUT_MS = 1_000;

/** Connects to the pod's monitor when it lives and is not connected to yet. */
export async function observe(
  deps: PodDeps,
  pod: Pod,
  containers: readonly Container[],
): Promise<PodObservation> {
  const monitorAlive = isMonitorAlive(deps, pod);
  const known = deps.monitors.get(pod.id) !== undefined;
  const wanted = !known && monitorAlive && stateOfPod(pod) === "READY";
  const monitor = wanted ? await connect(deps, pod) : null;
  const seen = new Map<ContainerId, ContainerObservation>();
  for (const container of containers) {
    if (container.finishedAt !== null) continue;
    const monitored = monitor?.containers.find((found) => found.id === container.id) ?? null;
    // A monitor that answers has the last word: no need to read what it has written.
    const record = monitored === null && !known ? await readRecord(deps, container) : null;
    seen.set(container.id, { monitored, record });
  }
  return {
    sameBoot: pod.bootId === deps.host.bootId,
    monitorAlive,
    connection: known ? "known" : monitor !== null ? "fresh" : "none",
    containers: seen,
    strangers: (monitor?.containers ?? [])
      .map((found) => found.id)
      .filter((id) => findContainer(deps.store, id) === null),
  };
}

async function connect(deps: PodDeps, pod: Pod): Promise<Monitor | null> {
  try {
    const socket = deps.paths.monitorSocket(pod.id);
    const events = monitorEvents(deps);
    const monitor = await deps.monitorDriver.connect(pod.id, socket, events, CONNECT_TIMEOUT_MS);
    deps.monitors.set(pod.id, monitor);
    return monitor;
  } catch (error) {
    deps.log.warn({ pod: pod.id, error: messageOf(error) }, "the pod's monitor does not answer");
    return null;
  }
}

async function readRecord(deps: PodDeps, container: Container): ReturnType<typeof read> {
  try {
    return await read(deps, container);
  } catch (error) {
    deps.log.warn({ container: container.id, error: messageOf(error) }, "read exit record");
    return null;
  }
}

function read(deps: PodDeps, container: Container) {
  return deps.monitorDriver.readExitRecord(deps.paths.podState(container.podId), container.id);
}
