import type { Call } from "../lib/call.ts";
import { throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { findContainer } from "../store/containers.ts";
import type { Container, ExitFacts } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";

/**
 * Waits until the container has ended, however long, and tells how. NOT_FOUND when it is removed meanwhile.
 */
export async function waitContainer(deps: ContainerDeps, call: Call, id: ContainerId): Promise<ExitFacts> {
  const known = exitOf(containerStatus(deps, id));
  if (known !== null) return known;
  const doing = `wait for container "${id}"`;
  const exit = await new Promise<ExitFacts | null>((resolve) => {
    const unsubscribe = deps.exits.subscribe(id, resolve);
    const leave = () => {
      unsubscribe();
      resolve(null);
    };
    if (call.signal.aborted) leave();
    else call.signal.addEventListener("abort", leave, { once: true });
  });
  if (exit !== null) return exit;
  throwIfAborted(call, doing);
  const row = findContainer(deps.store, id);
  const late = row === null ? null : exitOf(row);
  if (late !== null) return late;
  throw new BerthError("NOT_FOUND", `${doing}: it was removed`);
}

function exitOf(row: Container): ExitFacts | null {
  if (row.finishedAt === null) return null;
  return {
    finishedAt: row.finishedAt,
    exitCode: row.exitCode ?? 0,
    signal: row.signal ?? 0,
    oomKilled: row.oomKilled,
  };
}
