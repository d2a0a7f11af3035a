// Waiting for a container to end, with or without a monitor that answers.

import { MAX_TIMER_MS } from "../lib/deadline.ts";
import { messageOf } from "../lib/errors.ts";
import { findContainer } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";
import { recordUnseenExit } from "./record-exit.ts";

/**
 * How often a waiter looks at the cgroup itself, and how often it must be found empty before the monitor
 * counts as mute.
 */
const LOOK_EVERY_MS = 250;
const EMPTY_LOOKS = 12;

/**
 * Waits until the container has ended and that is recorded. False when `timeoutMs` passed first or the
 * signal aborted. News come from the monitor; the cgroup is watched as well, so that a hung monitor
 * delays nobody: a container whose cgroup stays empty without news is recorded from its exit record.
 */
export async function awaitExit(
  deps: ContainerDeps,
  container: Container,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  if (hasEnded(deps, container)) return true;
  return await new Promise<boolean>((resolve) => {
    const finish = (ended: boolean) => {
      unsubscribe();
      clearTimeout(timer);
      watch.stop();
      signal?.removeEventListener("abort", leave);
      resolve(ended);
    };
    const leave = () => finish(false);
    const unsubscribe = deps.exits.subscribe(container.id, () => finish(true));
    const timer = setTimeout(leave, Math.min(timeoutMs, MAX_TIMER_MS));
    const watch = watchCgroup(deps, container, () => {
      recordUnseenExit(deps, container).then(
        () => finish(hasEnded(deps, container)),
        (error) => {
          deps.log.error({ container: container.id, error: messageOf(error) }, "record unseen exit");
          finish(false);
        },
      );
    });
    signal?.addEventListener("abort", leave, { once: true });
    if (signal?.aborted === true) leave();
  });
}

function hasEnded(deps: ContainerDeps, container: Container): boolean {
  const row = findContainer(deps.store, container.id);
  return row === null || row.finishedAt !== null;
}

/** Calls `onEmpty` once, when the cgroup was found without processes several times in a row. */
function watchCgroup(deps: ContainerDeps, container: Container, onEmpty: () => void): { stop(): void } {
  let empty = 0;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const look = async () => {
    const events = await deps.kernel.readCgroup(container.cgroupPath, "cgroup.events").catch(() => "");
    if (stopped) return;
    empty = events === null || /^populated 0$/m.test(events) ? empty + 1 : 0;
    if (empty >= EMPTY_LOOKS) onEmpty();
    else timer = setTimeout(look, LOOK_EVERY_MS);
  };
  timer = setTimeout(look, LOOK_EVERY_MS);
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
