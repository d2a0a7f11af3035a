// A signal to the first process of a container.

import { messageOf } from "../lib/errors.ts";
import type { Container } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";
import { runRuntime } from "./runtime-command.ts";

/**
 * By pidfd and not through the monitor, which may be hung; where a foreign runtime made the process, by that
 * one's "kill" first, since not every runtime's process is the container's. False when it has ended.
 */
export async function sendSignal(
  deps: ContainerDeps,
  container: Container,
  signal: number,
): Promise<boolean> {
  const handler = container.runtime?.handler ?? null;
  if (handler !== null && deps.monitors.get(container.podId) !== undefined) {
    try {
      await runRuntime(deps, container, handler, ["kill", container.id, String(signal)], handler.timeoutMs);
      return true;
    } catch (error) {
      deps.log.warn({ container: container.id, error: messageOf(error) }, "signal by the runtime");
    }
  }
  return container.process !== null && deps.kernel.signalProcess(container.process, signal);
}
