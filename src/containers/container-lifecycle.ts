// The state of a container, and what is legal in it. State is derived from facts and never stored.

import { BerthError } from "../lib/errors.ts";
import type { Container, ContainerState } from "../types/container.ts";

/**
 * CREATED -> RUNNING -> EXITED (CRI, ContainerState). A container whose end nobody could tell is EXITED too,
 * with a reason.
 */
export function stateOfContainer(
  row: Pick<Container, "preparedAt" | "startedAt" | "finishedAt">,
): ContainerState {
  if (row.finishedAt !== null) return "EXITED";
  if (row.startedAt !== null) return "RUNNING";
  if (row.preparedAt !== null) return "CREATED";
  return "UNKNOWN";
}

export type ContainerAction =
  | "start"
  | "exec"
  | "attach"
  | "reopen the log of"
  | "resize"
  | "update"
  | "list the processes of";

/** The one table of what may be done in which state. Stop and remove are legal in every state. */
const LEGAL: Record<ContainerAction, readonly ContainerState[]> = {
  start: ["CREATED"],
  exec: ["RUNNING"],
  // A created one too, so that who attaches before the start misses no output.
  attach: ["CREATED", "RUNNING"],
  "reopen the log of": ["RUNNING"],
  resize: ["RUNNING"],
  update: ["CREATED", "RUNNING"],
  "list the processes of": ["RUNNING"],
};

/** FAILED_PRECONDITION when `action` is not legal now. */
export function requireState(container: Container, action: ContainerAction): void {
  const state = stateOfContainer(container);
  const doing = `${action} container "${container.id}"`;
  if (container.removingAt !== null) {
    throw new BerthError("FAILED_PRECONDITION", `${doing}: it is being removed`);
  }
  const legal = LEGAL[action];
  if (legal.includes(state)) return;
  throw new BerthError("FAILED_PRECONDITION", `${doing}: it is ${state}, not ${legal.join(" or ")}`);
}
