import type { Call } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { unlessAborted } from "../lib/outlive.ts";
import type { ContainerId } from "../types/ids.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { requireMonitor } from "./require-monitor.ts";

/** Sets the size of a container's terminal, 1 to 65535 rows and columns. */
export async function resizeContainer(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  rows: number,
  columns: number,
): Promise<void> {
  const doing = `resize container "${id}"`;
  const container = containerStatus(deps, id);
  requireState(container, "resize");
  if (!container.config.tty) throw new BerthError("FAILED_PRECONDITION", `${doing}: it has no terminal`);
  for (const size of [rows, columns]) {
    if (Number.isInteger(size) && size >= 1 && size <= 65_535) continue;
    throw new BerthError("INVALID_ARGUMENT", `${doing}: size ${rows}x${columns} is not within 1 to 65535`);
  }
  const monitor = requireMonitor(deps, container.podId, doing);
  await unlessAborted(call, doing, monitor.resize(id, rows, columns));
}
