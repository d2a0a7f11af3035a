// What happened to the networks behind the daemon's back: while it was down, or by somebody else's hand.

import { messageOf } from "../lib/errors.ts";
import type { PodDeps } from "../pods/deps.ts";
import { listPodSandbox } from "../pods/list-pod-sandbox.ts";
import { stateOfPod } from "../pods/pod-lifecycle.ts";
import { findPod, setPodNetwork } from "../store/pods.ts";
import type { ListedPod } from "../types/pod.ts";

/**
 * CNI GC, then CNI CHECK of every ready pod, one after the other: plugins are processes, and nobody waits for
 * this. A complaint changes no state, since the pod may well work; it is logged and shown with the pod.
 */
export async function auditNetworks(deps: PodDeps): Promise<void> {
  try {
    await deps.network.collectGarbage();
  } catch (error) {
    deps.log.warn({ error: messageOf(error) }, "CNI garbage collection failed");
  }
  const ready = await listPodSandbox(deps, { state: "READY" });
  for (const pod of ready) if (pod.netnsPath !== "") await checkPod(deps, pod);
}

async function checkPod(deps: PodDeps, { id, netnsPath }: ListedPod): Promise<void> {
  const problem = await deps.network.check(id, netnsPath);
  const pod = findPod(deps.store, id);
  if (pod === null || stateOfPod(pod) !== "READY") return;
  if (problem === (pod.network.problem ?? "")) return;
  if (problem !== "") deps.log.warn({ pod: id, problem }, "the pod's network is not as it was made");
  const { problem: _before, ...network } = pod.network;
  setPodNetwork(deps.store, id, problem === "" ? network : { ...network, problem });
}
