// Does what was decided.

import { clearContainer, recordExit, recordUnseenExit } from "../containers/record-exit.ts";
import { removeContainer } from "../containers/remove-container.ts";
import { undoContainer } from "../containers/undo-container.ts";
import type { Call } from "../lib/call.ts";
import { within } from "../lib/deadline.ts";
import type { PodDeps } from "../pods/deps.ts";
import { endLostPod } from "../pods/lose-monitor.ts";
import { removesItself } from "../pods/pod-lifecycle.ts";
import { removePodSandbox } from "../pods/remove-pod-sandbox.ts";
import { stopPodSandbox } from "../pods/stop-pod-sandbox.ts";
import { undoPod } from "../pods/undo-pod.ts";
import { commitContainerStarted, findContainer } from "../store/containers.ts";
import type { ContainerId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { Action } from "./decide.ts";

/** Time that clients of a pod which removes itself have to read its last output. */
const DRAIN_TIMEOUT_MS = 5_000;

/** Actions that only write down what happened: done before the daemon answers its first call. */
export function isFact(action: Action): boolean {
  return (
    action.do === "record-exit" ||
    action.do === "record-unseen-exit" ||
    action.do === "record-start" ||
    action.do === "lose-pod"
  );
}

export async function apply(deps: PodDeps, call: Call, pod: Pod, action: Action): Promise<void> {
  switch (action.do) {
    case "undo-pod":
      // A run that is under way is none that was left behind.
      if (!deps.making.has(pod.id)) await undoPod(deps, call, pod.id);
      return;
    case "remove-pod":
      if (removesItself(pod)) await drained(deps, pod);
      return await removePodSandbox(deps, call, pod.id);
    case "release-pod":
      return await stopPodSandbox(deps, call, pod.id);
    case "lose-pod":
      return await endLostPod(deps, pod);
    case "connect":
      // Observing connects; this one only says that there is something left to do.
      return;
    default:
      return await applyToContainer(deps, call, pod, action);
  }
}

type ContainerAction = Extract<Action, { id: ContainerId }>;

async function applyToContainer(deps: PodDeps, call: Call, pod: Pod, action: ContainerAction): Promise<void> {
  if (action.do === "forget") {
    await deps.monitors.get(pod.id)?.forget(action.id);
    return;
  }
  const container = findContainer(deps.store, action.id);
  if (container === null) return;
  switch (action.do) {
    case "undo-container":
      // It may have been completed, or still be under way, since this was decided.
      if (container.preparedAt === null && !deps.making.has(container.id)) {
        await undoContainer(deps, container);
      }
      return;
    case "remove-container":
      return await removeContainer(deps, call, container.id);
    case "clear-cgroup":
      return await clearContainer(deps, container);
    case "record-unseen-exit":
      await deps.kernel.killCgroup(container.cgroupPath, 1_000);
      return await recordUnseenExit(deps, container);
    case "record-exit":
      return await recordExit(deps, container.id, action.exit);
    case "record-start":
      commitContainerStarted(deps.store, container.id, action.at);
      deps.events({
        type: "container-started",
        containerId: container.id,
        podId: pod.id,
        at: action.at,
      });
  }
}

async function drained(deps: PodDeps, pod: Pod): Promise<void> {
  const idle = deps.sessions.whenIdle(pod.id);
  await within(DRAIN_TIMEOUT_MS, `wait for the readers of pod "${pod.id}"`, idle).catch(() => {});
}
