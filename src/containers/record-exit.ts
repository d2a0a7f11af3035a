// How a container ended, written once, from whichever source knew first.

import { destroyCgroup } from "../cgroups/destroy-cgroup.ts";
import { nowMicros } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { commitContainerExited, findContainer } from "../store/containers.ts";
import type { Container, ExitFacts } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import { awaitStart } from "./await-start.ts";
import type { ContainerDeps } from "./deps.ts";
import { teardownContainer } from "./teardown-container.ts";

/** "OOMKilled" is what consumers look for; the others are what peers use (CRI, ContainerStatus.reason). */
function reasonOf(exit: ExitFacts): string {
  if (exit.oomKilled) return "OOMKilled";
  return exit.exitCode === 0 ? "Completed" : "Error";
}

const SIGKILL = 9;

/** The reason is the cgroup's; who was killed is told here when it was not the first process. */
function messageOfExit({ oomKilled, signal, exitCode }: ExitFacts): string {
  if (!oomKilled || signal === SIGKILL) return "";
  return (
    "the kernel killed a process of the container for lack of memory; " +
    `the first process ended by itself with exit code ${exitCode}`
  );
}

/**
 * Records an exit, tells who waits, and clears the container's cgroup behind it. What was recorded
 * first stays. An exit is recorded after the start that it follows, whatever order the news came in.
 */
export async function recordExit(
  deps: ContainerDeps,
  id: ContainerId,
  exit: ExitFacts,
  told: { reason?: string; message?: string } = {},
): Promise<void> {
  await awaitStart(deps, id);
  const reason = told.reason ?? reasonOf(exit);
  const message = told.message ?? messageOfExit(exit);
  if (!commitContainerExited(deps.store, id, { ...exit, reason, message })) return;
  deps.signalled.delete(id);
  const container = findContainer(deps.store, id);
  if (container === null) return;
  deps.events({
    type: "container-stopped",
    containerId: id,
    podId: container.podId,
    at: exit.finishedAt,
  });
  deps.exits.notify(id, exit);
  clearCgroup(deps, container);
}

/** What the first process left behind (children, execs) ends with it, behind the caller's back. */
function clearCgroup(deps: ContainerDeps, container: Container): void {
  clearContainer(deps, container).catch((error) => {
    deps.log.warn({ container: container.id, error: messageOf(error) }, "clear cgroup of exited container");
  });
}

/** The same, for callers that wait: also what a foreign runtime and hooks hold. */
export async function clearContainer(deps: ContainerDeps, container: Container): Promise<void> {
  await destroyCgroup(deps.kernel, container.cgroupPath, `container "${container.id}"`);
  await teardownContainer(deps, container, { later: true });
}

/**
 * Records the end of a container that is known to be dead and of which no news came: from the exit record
 * that the monitor left on disk, else as killed, with a message that says that nobody saw it.
 */
export async function recordUnseenExit(deps: ContainerDeps, container: Container): Promise<void> {
  const stateDir = deps.paths.podState(container.podId);
  const record = await readRecord(deps, stateDir, container.id);
  if (record !== null) {
    await recordExit(deps, container.id, record);
    return;
  }
  const oomKilled = await wasOomKilled(deps, container);
  await recordExit(
    deps,
    container.id,
    { ...unseenExit(), oomKilled },
    {
      reason: oomKilled ? "OOMKilled" : "ContainerStatusUnknown",
      message: "the pod's monitor ended before it could tell how the container ended",
    },
  );
}

/** As the monitor would have told: the kernel counts in the container's cgroup, which is still there. */
async function wasOomKilled(deps: ContainerDeps, { id, cgroupPath }: Container): Promise<boolean> {
  try {
    const events = await deps.kernel.readCgroup(cgroupPath, "memory.events");
    return /^oom_kill [1-9]/m.test(events ?? "");
  } catch (error) {
    deps.log.warn({ container: id, error: messageOf(error) }, "read memory.events");
    return false;
  }
}

async function readRecord(deps: ContainerDeps, stateDir: string, id: ContainerId): Promise<ExitFacts | null> {
  try {
    return await deps.monitorDriver.readExitRecord(stateDir, id);
  } catch (error) {
    deps.log.warn({ container: id, error: messageOf(error) }, "read exit record");
    return null;
  }
}

/** An end that nobody saw: peers report 137 for a container that was killed from outside. */
export function unseenExit(): ExitFacts {
  return { finishedAt: nowMicros(), exitCode: 137, signal: 9, oomKilled: false };
}
