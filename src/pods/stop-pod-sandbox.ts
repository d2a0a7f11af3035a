import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { outlive } from "../lib/outlive.ts";
import { commitPodReleased, findPod, markPodStopped } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { PodDeps } from "./deps.ts";
import { isReleased } from "./pod-lifecycle.ts";
import { releasePod } from "./release-pod.ts";

/**
 * Kills the pod's containers and gives back its network (CRI, StopPodSandbox). The pod is NOTREADY from the
 * first moment, so that nothing new begins in it. Fails while the network cannot be detached; repeating
 * goes on where it stopped, and the daemon repeats by itself. An unknown id is fine.
 */
export function stopPodSandbox(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  return outlive(call, deps.stopping, id, `stop pod sandbox "${id}"`, (own) => stop(deps, own, id));
}

async function stop(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  const pod = findPod(deps.store, id);
  if (pod === null || pod.readyAt === null || isReleased(pod)) return;
  const observe = (step: string, when: "before" | "after") => call.observeStep("StopPodSandbox", step, when);
  await observe("reserve", "before");
  markPodStopped(deps.store, id, nowMicros());
  await observe("reserve", "after");
  await releasePod(deps, call, pod, observe);
  await observe("commit", "before");
  commitPodReleased(deps.store, id);
  await observe("commit", "after");
  deps.events({ type: "pod-stopped", podId: id, at: nowMicros() });
}
