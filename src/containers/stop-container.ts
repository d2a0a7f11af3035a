import type { Call } from "../lib/call.ts";
import { throwIfAborted } from "../lib/call.ts";
import { MAX_TIMER_MS } from "../lib/deadline.ts";
import { findContainer } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import { awaitExit } from "./await-exit.ts";
import { stateOfContainer } from "./container-lifecycle.ts";
import type { ContainerDeps } from "./deps.ts";
import { killContainer } from "./kill-container.ts";
import { sendSignal } from "./send-signal.ts";

/**
 * Asks the container to end with its stop signal, waits `timeoutSeconds`, then kills it; 0 kills at once
 * (CRI, StopContainer). A second stop with a shorter time-out shortens the wait: each call has its own
 * clock, and the first to run out kills. Unknown, created and exited containers are fine.
 */
export async function stopContainer(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  timeoutSeconds: number,
): Promise<void> {
  const container = findContainer(deps.store, id);
  if (container === null || stateOfContainer(container) !== "RUNNING") return;
  if (timeoutSeconds > 0) {
    await call.observeStep("StopContainer", "signal", "before");
    await sendStopSignal(deps, container);
    await call.observeStep("StopContainer", "signal", "after");
    const timeoutMs = Math.min(timeoutSeconds * 1000, MAX_TIMER_MS);
    if (await awaitExit(deps, container, timeoutMs, call.signal)) return;
    throwIfAborted(call, `stop container "${id}"`);
  }
  await call.observeStep("StopContainer", "kill", "before");
  await killContainer(deps, container);
  await call.observeStep("StopContainer", "kill", "after");
}

async function sendStopSignal(deps: ContainerDeps, container: Container): Promise<void> {
  if (deps.signalled.has(container.id)) return;
  if (await sendSignal(deps, container, container.stopSignal)) deps.signalled.add(container.id);
}
