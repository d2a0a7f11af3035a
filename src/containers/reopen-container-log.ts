import type { Call } from "../lib/call.ts";
import { unlessAborted } from "../lib/outlive.ts";
import type { ContainerId } from "../types/ids.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { requireMonitor } from "./require-monitor.ts";

/** Re-creates the log at its path after somebody renamed it (CRI, ReopenContainerLog). RUNNING only. */
export async function reopenContainerLog(deps: ContainerDeps, call: Call, id: ContainerId): Promise<void> {
  const container = containerStatus(deps, id);
  requireState(container, "reopen the log of");
  if (container.logPath === "") return;
  const doing = `reopen the log of container "${id}"`;
  const monitor = requireMonitor(deps, container.podId, doing);
  await unlessAborted(call, doing, monitor.reopenLog(id));
}
