// Takes a container apart. Everything is found by the names that derive from its id, so it works after any
// crash.

import { destroyCgroup } from "../cgroups/destroy-cgroup.ts";
import { within } from "../lib/deadline.ts";
import { messageOf } from "../lib/errors.ts";
import { removeSnapshot } from "../snapshots/remove-snapshot.ts";
import { deleteContainer } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";
import { teardownContainer } from "./teardown-container.ts";

const FORGET_TIMEOUT_MS = 2_000;

/** Told before and after each part; see StepObserver. */
export type PartObserver = (part: string, when: "before" | "after") => Promise<void> | void;

/**
 * Kills the container, has its monitor forget it, removes cgroup, snapshot and row, in this order. The
 * logs stay (CRI, RemoveContainer). Idempotent: a failure leaves the row, and the next try goes on. A
 * creation that failed, a removal and the reconciler may all want it at once: they go one after another.
 */
export function undoContainer(
  deps: ContainerDeps,
  container: Container,
  observe: PartObserver = () => {},
): Promise<void> {
  return deps.undoing.run(container.id, () => undo(deps, container, observe));
}

async function undo(deps: ContainerDeps, container: Container, observe: PartObserver): Promise<void> {
  const run = async ([part, action]: Part) => {
    await observe(part, "before");
    await action();
    await observe(part, "after");
  };
  await run([
    "cgroup",
    () => destroyCgroup(deps.kernel, container.cgroupPath, `container "${container.id}"`),
  ]);
  const forgotten: Part = ["forget", () => forget(deps, container)];
  const removed: Part = ["snapshot", () => removeSnapshot(deps, container.snapshot)];
  if (container.runtime === null && container.preparedAt !== null) {
    // The monitor is told of what is dead. While a container is made, its mounter may be at work there.
    const ended = await Promise.allSettled([run(forgotten), run(removed)]);
    for (const part of ended) if (part.status === "rejected") throw part.reason;
  } else {
    for (const part of [forgotten, runtimePart(deps, container), removed]) await run(part);
  }
  await run(["row", () => deleteContainer(deps.store, container.id)]);
  deps.signalled.delete(container.id);
}

type Part = [string, () => Promise<unknown> | unknown];

function runtimePart(deps: ContainerDeps, container: Container): Part {
  return ["runtime", () => teardownContainer(deps, container)];
}

/** A monitor that does not answer is left alone: its processes are dead, and its records go with the pod. */
async function forget(deps: ContainerDeps, container: Container): Promise<void> {
  const monitor = deps.monitors.get(container.podId);
  if (monitor === undefined) return;
  try {
    await within(FORGET_TIMEOUT_MS, `forget container "${container.id}"`, monitor.forget(container.id));
  } catch (error) {
    deps.log.warn({ container: container.id, error: messageOf(error) }, "monitor did not forget container");
  }
}
