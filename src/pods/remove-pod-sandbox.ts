import { removeContainer } from "../containers/remove-container.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { outlive } from "../lib/outlive.ts";
import { containersOfPod } from "../store/containers.ts";
import { deletePod, findPod, markPodRemoving } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { stopPodSandbox } from "./stop-pod-sandbox.ts";

/**
 * Stops the pod if it runs, and removes it with its containers (CRI, RemovePodSandbox). An unknown id is
 * fine. A removal that began is finished by the daemon, at its next start if need be.
 */
export function removePodSandbox(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  return outlive(call, deps.removingPods, id, `remove pod sandbox "${id}"`, (own) => remove(deps, own, id));
}

async function remove(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  const pod = findPod(deps.store, id);
  if (pod === null || pod.readyAt === null) return;
  const steps: [string, () => Promise<unknown> | unknown][] = [
    ["reserve", () => markPodRemoving(deps.store, id, nowMicros())],
    ["stop", () => stopPodSandbox(deps, call, id)],
    ["containers", () => removeContainers(deps, call, id)],
    ["state-dir", () => deps.kernel.removeTree(deps.paths.podState(id))],
    ["logs", () => removeOwnLogs(deps, pod)],
    ["row", () => deletePod(deps.store, id)],
  ];
  for (const [step, run] of steps) {
    await call.observeStep("RemovePodSandbox", step, "before");
    await run();
    await call.observeStep("RemovePodSandbox", step, "after");
  }
  deps.events({ type: "pod-removed", podId: id, at: nowMicros(), pod });
}

async function removeContainers(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  const containers = containersOfPod(deps.store, id);
  await Promise.all(containers.map((container) => removeContainer(deps, call, container.id)));
}

/** Logs in a directory that the client named are the client's. */
async function removeOwnLogs(deps: PodDeps, pod: Pod): Promise<void> {
  if (pod.config.logDirectory === "") await deps.kernel.removeTree(deps.paths.podLogs(pod.id));
}
