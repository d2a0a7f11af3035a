import type { Call } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { stateOfContainer } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { sendSignal } from "./send-signal.ts";

/**
 * Sends `signal` (its number on Linux) to the first process of a running container.
 *
 * @throws BerthError NOT_FOUND; FAILED_PRECONDITION when it does not run; INVALID_ARGUMENT for a number
 *   that is no signal
 */
export async function signalContainer(
  deps: ContainerDeps,
  call: Call,
  id: string,
  signal: number,
): Promise<void> {
  if (!Number.isInteger(signal) || signal < 1 || signal > 64) {
    throw new BerthError("INVALID_ARGUMENT", `signal container "${id}": ${signal} is no signal (1 to 64)`);
  }
  const container = containerStatus(deps, id);
  const state = stateOfContainer(container);
  const notRunning = (why: string) =>
    new BerthError("FAILED_PRECONDITION", `signal container "${id}": ${why}, not running`);
  if (state !== "RUNNING" || container.process === null) throw notRunning(`it is ${state.toLowerCase()}`);
  if (!(await sendSignal(deps, container, signal))) throw notRunning("its process has just ended");
  call.log.debug({ container: id, signal }, "signal sent");
}
