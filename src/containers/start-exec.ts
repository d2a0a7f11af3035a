import type { Call } from "../lib/call.ts";
import type { ContainerId } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";
import type { ContainerDeps } from "./deps.ts";
import { type ExecRequest, openExec } from "./open-exec.ts";

/**
 * Runs one more process in a RUNNING container and leaves it alone: it has no input, what it writes is
 * dropped, and it ends with the container at the latest. Resolves when it runs; rejects with an explained
 * error when it could not be executed.
 */
export async function startExec(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  request: ExecRequest,
): Promise<ProcessRef> {
  const session = await openExec(deps, call, id, { ...request, stdin: false, detached: true });
  session.onStdout = () => {};
  session.onStderr = () => {};
  try {
    return await session.started;
  } finally {
    session.close();
  }
}
