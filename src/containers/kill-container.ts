// SIGKILL to everything of a container, and the record of its end.

import { emptyCgroup } from "../cgroups/destroy-cgroup.ts";
import type { Container } from "../types/container.ts";
import { awaitExit } from "./await-exit.ts";
import type { ContainerDeps } from "./deps.ts";
import { recordUnseenExit } from "./record-exit.ts";

/** How long the monitor may take to report a container that is dead (it drains and syncs the log first). */
const NEWS_TIMEOUT_MS = 5_000;
const SIGKILL = 9;

/**
 * Kills through the cgroup, so that nothing escapes and no monitor is needed. Resolves when the container
 * is dead and its end recorded. UNAVAILABLE when a process does not die.
 */
export async function killContainer(deps: ContainerDeps, container: Container): Promise<void> {
  await emptyCgroup(deps.kernel, container.cgroupPath, `container "${container.id}"`);
  // A foreign runtime may have put the process elsewhere.
  if (container.runtime?.handler && container.process !== null) {
    deps.kernel.signalProcess(container.process, SIGKILL);
  }
  if (container.preparedAt === null) return;
  const connected = deps.monitors.get(container.podId) !== undefined;
  if (connected && (await awaitExit(deps, container, NEWS_TIMEOUT_MS))) return;
  await recordUnseenExit(deps, container);
}
