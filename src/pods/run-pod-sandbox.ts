import { podCgroupPath } from "../cgroups/pod-cgroup.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError, messageOf, wrapError } from "../lib/errors.ts";
import { newId } from "../lib/new-id.ts";
import { outlive } from "../lib/outlive.ts";
import type { Steps } from "../lib/undo.ts";
import { withSteps } from "../lib/undo.ts";
import { monitorCgroup, podCgroupName } from "../paths.ts";
import { idMapText, userMappingOf } from "../spec/user-namespace.ts";
import { onDisk } from "../store/durable.ts";
import {
  commitPodReady,
  findPod,
  findPodByMetadata,
  insertPod,
  releasePodKey,
  setNetworkHeld,
} from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod, PodConfig, PodNetwork, ProcessRef } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";
import { makePodDirectories, makePodFiles } from "./pod-files.ts";
import { podTitle, runKey, stateOfPod } from "./pod-lifecycle.ts";
import { withSelinux } from "./pod-selinux.ts";
import { withUserNamespace } from "./pod-user-namespace.ts";
import { startMonitor } from "./start-monitor.ts";
import { undoPod } from "./undo-pod.ts";
import { validatePod } from "./validate-pod.ts";

export interface RunPodRequest {
  readonly config: PodConfig;
  /** "" is the default. */
  readonly handler: string;
}

/**
 * Makes a pod sandbox and answers when it is READY (CRI, RunPodSandbox). (namespace, name, uid, attempt)
 * is the idempotency key: a retry joins the running operation, or gets the id of the pod that it made. A
 * failure leaves nothing behind, whether or not the client still waits for it.
 */
export async function runPodSandbox(deps: PodDeps, call: Call, request: RunPodRequest): Promise<PodId> {
  const doing = `run ${podTitle(request)}`;
  validatePod(request.config, doing);
  await deps.handlers.require(request.handler, doing);
  if (request.config.security.namespaces.userns?.mode === "POD") {
    await deps.handlers.requireUserNamespaces(request.handler, doing);
  }
  const key = runKey(request.config.metadata);
  return await outlive(call, deps.running, key, doing, (own) => run(deps, own, request, doing));
}

async function run(deps: PodDeps, call: Call, request: RunPodRequest, doing: string): Promise<PodId> {
  const existing = findPodByMetadata(deps.store, request.config.metadata);
  if (existing !== null) {
    if (existing.readyAt !== null) return await adoptExisting(deps, existing, doing);
    // Left by a run that could not be undone: it is cleared in the background.
    releasePodKey(deps.store, existing.id);
  }
  const cgroupMount = await deps.kernel.cgroupMount();
  const id = newId();
  deps.making.add(id);
  try {
    return await make(deps, call, request, { id, cgroupMount, doing });
  } finally {
    deps.making.delete(id);
  }
}

interface Making {
  readonly id: PodId;
  readonly cgroupMount: string;
  readonly doing: string;
}

async function make(
  deps: PodDeps,
  call: Call,
  request: RunPodRequest,
  { id, cgroupMount, doing }: Making,
): Promise<PodId> {
  const readyAt = await withSteps("RunPodSandbox", call, async (steps) => {
    try {
      const pod = await reserve(deps, call, steps, request, id, cgroupMount);
      await makeParts(deps, steps, pod);
      const { process, network } = await makeProcessAndNetwork(deps, call, steps, pod);
      return await steps.run("commit", () => {
        // A monitor that was lost meanwhile told nobody: the row was not ready yet.
        if (deps.monitors.get(pod.id) === undefined) throw new BerthError("UNAVAILABLE", "the monitor ended");
        const ready = { readyAt: nowMicros(), monitor: process, network };
        commitPodReady(deps.store, pod.id, ready);
        return ready.readyAt;
      });
    } catch (error) {
      throw wrapError(doing, error);
    }
  });
  // The caller is told of the pod, so it must be known after a power cut too.
  const synced = onDisk(deps.store);
  deps.events({ type: "pod-ready", podId: id, at: readyAt });
  await synced;
  return id;
}

async function adoptExisting(deps: PodDeps, existing: Pod, doing: string): Promise<PodId> {
  if (stateOfPod(existing) === "READY") {
    // Its run may have ended between the commit and the sync.
    await onDisk(deps.store);
    return existing.id;
  }
  throw new BerthError(
    "ALREADY_EXISTS",
    `${doing}: pod sandbox "${existing.id}" of the same name, uid and attempt is NOTREADY; ` +
      "remove it, or run the next attempt",
  );
}

/** The row comes before anything in the kernel: the names of all that follows derive from it. */
async function reserve(
  deps: PodDeps,
  call: Call,
  steps: Steps,
  { config: asked, handler }: RunPodRequest,
  id: PodId,
  cgroupMount: string,
): Promise<Pod> {
  const parent = asked.cgroupParent === "" ? deps.config.cgroupParent : asked.cgroupParent;
  const cgroupPath = podCgroupPath(cgroupMount, parent, podCgroupName(deps.paths, id));
  const netnsPath = asked.security.namespaces.network === "NODE" ? "" : deps.paths.netns(id);
  return await steps.run(
    "reserve",
    () => {
      const { bootId } = deps.host;
      const config = withSelinux(deps, withUserNamespace(deps, asked));
      insertPod(deps.store, { id, config, handler, createdAt: nowMicros(), netnsPath, cgroupPath, bootId });
      return findPod(deps.store, id) as Pod;
    },
    () => undo(deps, call, id),
  );
}

/** A run that cannot be undone right now must not block its name: the rest is done in the background. */
async function undo(deps: PodDeps, call: Call, id: PodId): Promise<void> {
  try {
    await undoPod(deps, call, id);
  } catch (error) {
    releasePodKey(deps.store, id);
    call.log.warn({ pod: id, error: messageOf(error) }, "undo of pod sandbox is left for later");
  }
}

/** None needs another. All have ended when this does: undo may begin. */
async function makeParts(deps: PodDeps, steps: Steps, pod: Pod): Promise<void> {
  const parts = await Promise.allSettled([
    steps.run("state-dir", () => makePodDirectories(deps, pod.id)),
    steps.run("cgroup", () => deps.kernel.createCgroup(monitorCgroup(pod.cgroupPath))),
    pod.netnsPath === "" ? null : steps.run("netns", () => makeNetns(deps, pod)),
  ]);
  for (const part of parts) if (part.status === "rejected") throw part.reason;
}

async function makeNetns(deps: PodDeps, pod: Pod): Promise<void> {
  const mapping = userMappingOf(pod.config.security.namespaces);
  const maps =
    mapping === null ? undefined : { uids: idMapText([mapping.uids]), gids: idMapText([mapping.gids]) };
  await deps.kernel.createNetns(pod.netnsPath, maps);
}

/** None needs the others, and each spends its time elsewhere: in other processes, or waiting for files. */
async function makeProcessAndNetwork(
  deps: PodDeps,
  call: Call,
  steps: Steps,
  pod: Pod,
): Promise<{ process: ProcessRef; network: PodNetwork }> {
  const [process, network, files] = await Promise.allSettled([
    steps.run("monitor", () => startMonitor(deps, pod)),
    pod.netnsPath === "" ? { ips: [] } : steps.run("network", () => attachNetwork(deps, call, pod)),
    steps.run("files", () => makePodFiles(deps, pod.id, pod.config)),
  ]);
  if (process.status === "rejected") throw process.reason;
  if (network.status === "rejected") throw network.reason;
  if (files.status === "rejected") throw files.reason;
  return { process: process.value, network: network.value };
}

async function attachNetwork(deps: PodDeps, call: Call, pod: Pod): Promise<PodNetwork> {
  setNetworkHeld(deps.store, pod.id, true);
  return await deps.network.setUp(call, pod.id, pod.netnsPath, pod.config);
}
