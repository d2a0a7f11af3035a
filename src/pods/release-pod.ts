// Takes apart what a pod holds in the kernel and in the network. Everything is found by names that derive
// from the pod's id, so that it works after any crash, and twice.

import { rm } from "node:fs/promises";
import { destroyCgroup, emptyCgroup } from "../cgroups/destroy-cgroup.ts";
import { awaitStart } from "../containers/await-start.ts";
import { creationKey } from "../containers/creation-key.ts";
import { killContainer } from "../containers/kill-container.ts";
import { teardownContainer } from "../containers/teardown-container.ts";
import type { PartObserver } from "../containers/undo-container.ts";
import type { Call } from "../lib/call.ts";
import { within } from "../lib/deadline.ts";
import { messageOf } from "../lib/errors.ts";
import { containersOfPod } from "../store/containers.ts";
import { setNetworkHeld } from "../store/pods.ts";
import type { Container } from "../types/container.ts";
import type { Pod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";

const SHUTDOWN_TIMEOUT_MS = 2_000;
/** How long a creation whose processes were killed may take to notice. */
const CREATION_TIMEOUT_MS = 3_000;

/**
 * Kills the containers, detaches the network, ends the monitor, removes namespace and cgroup. Throws when
 * something is still held; the rest is done all the same where that is safe, and the next try goes on.
 */
export async function releasePod(
  deps: PodDeps,
  call: Call,
  pod: Pod,
  observe: PartObserver = () => {},
): Promise<void> {
  const part = async (name: string, run: () => Promise<unknown>) => {
    await observe(name, "before");
    await run();
    await observe(name, "after");
  };
  await part("containers", () => endContainers(deps, pod));
  // The monitor goes although the network's DEL may fail: only the namespace's pin is needed to repeat that.
  const [network, monitor] = await Promise.allSettled([
    part("network", () => detachNetwork(deps, call, pod)),
    part("monitor", () => endMonitor(deps, pod)),
  ]);
  if (monitor.status === "rejected") throw monitor.reason;
  if (network.status === "rejected") throw network.reason;
  await part("netns", async () => {
    if (pod.netnsPath !== "") await deps.kernel.removeNetns(pod.netnsPath);
  });
  await part("cgroup", () => destroyCgroup(deps.kernel, pod.cgroupPath, `pod "${pod.id}"`));
}

async function endContainers(deps: PodDeps, pod: Pod): Promise<void> {
  await Promise.all(containersOfPod(deps.store, pod.id).map((container) => endContainer(deps, container)));
}

async function endContainer(deps: PodDeps, container: Container): Promise<void> {
  if (container.preparedAt !== null) {
    await awaitStart(deps, container.id);
    if (container.finishedAt === null) await killContainer(deps, container);
    // While the pod still has a monitor, through which the runtime runs.
    await teardownContainer(deps, container);
    return;
  }
  await emptyCgroup(deps.kernel, container.cgroupPath, `container "${container.id}"`);
  const { name, attempt } = container.config.metadata;
  const creating = deps.creating.join(creationKey(container.podId, name, attempt));
  if (creating === undefined || !deps.making.has(container.id)) return;
  const undone = creating.then(
    () => {},
    () => {},
  );
  // A hung monitor never answers it; the end of its connection, which comes next, does.
  await within(CREATION_TIMEOUT_MS, `wait for the end of creating container "${name}"`, undone).catch(
    (error) => deps.log.warn({ pod: container.podId, error: messageOf(error) }, "not waiting any longer"),
  );
}

async function detachNetwork(deps: PodDeps, call: Call, pod: Pod): Promise<void> {
  if (!pod.networkHeld) return;
  await deps.network.tearDown(call, pod.id, pod.netnsPath, pod.config);
  setNetworkHeld(deps.store, pod.id, false);
}

/** Asks first, so that logs are written out; what does not answer is killed through its cgroup. */
async function endMonitor(deps: PodDeps, pod: Pod): Promise<void> {
  const monitor = deps.monitors.get(pod.id);
  if (monitor !== undefined) {
    // Before the shutdown, so that the connection's end is not taken for a loss.
    deps.monitors.delete(pod.id);
    try {
      await within(SHUTDOWN_TIMEOUT_MS, `end the monitor of pod "${pod.id}"`, monitor.shutdown());
    } catch (error) {
      deps.log.warn({ pod: pod.id, error: messageOf(error) }, "monitor did not end by itself, killing it");
    }
    monitor.close();
  }
  await emptyCgroup(deps.kernel, pod.cgroupPath, `pod "${pod.id}"`);
  await rm(deps.paths.monitorSocket(pod.id), { force: true });
}
