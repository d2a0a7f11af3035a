// Starts a pod's monitor and connects to it.

import { KernelError } from "../lib/errors.ts";
import { monitorCgroup } from "../paths.ts";
import { buildPodPlan } from "../spec/build-pod-plan.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import { explainPlanFailure } from "../spec/explain-failure.ts";
import type { Pod, ProcessRef } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { monitorEvents } from "./monitor-events.ts";
import { podMountLabel } from "./pod-selinux.ts";

const SPAWN_TIMEOUT_MS = 10_000;
export const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The pod's directories are there. The monitor has executed the pod's plan, and is in the registry, when this
 * resolves.
 */
export async function startMonitor(deps: PodDeps, pod: Pod): Promise<ProcessRef> {
  const plan = buildPodPlan({
    config: pod.config,
    netnsPath: pod.netnsPath,
    mountLabel: podMountLabel(deps, pod.config),
  });
  const socketPath = deps.paths.monitorSocket(pod.id);
  const process = await spawn(deps, pod, plan, socketPath);
  const events = monitorEvents(deps);
  const monitor = await deps.monitorDriver.connect(pod.id, socketPath, events, CONNECT_TIMEOUT_MS);
  deps.monitors.set(pod.id, monitor);
  return process;
}

async function spawn(
  deps: PodDeps,
  pod: Pod,
  plan: ReturnType<typeof buildPodPlan>,
  socketPath: string,
): Promise<ProcessRef> {
  try {
    return await deps.kernel.spawnMonitor({
      title: pod.id.slice(0, 12),
      cgroupPath: monitorCgroup(pod.cgroupPath),
      stateDir: deps.paths.podState(pod.id),
      socketPath,
      plan: encodePlan(plan),
      timeoutMs: SPAWN_TIMEOUT_MS,
    });
  } catch (error) {
    if (error instanceof KernelError) throw explainPlanFailure("start the monitor", plan, error);
    throw error;
  }
}
