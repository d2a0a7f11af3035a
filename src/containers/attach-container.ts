import type { Call } from "../lib/call.ts";
import { throwIfAborted } from "../lib/call.ts";
import type { StreamSession } from "../monitor/monitor.ts";
import type { ContainerId } from "../types/ids.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { requireMonitor } from "./require-monitor.ts";

/**
 * Streams of a container's first process. Output goes on to the log as well, and several clients may be
 * attached at once. A created container may be attached to, so that no output is missed at its start.
 */
export async function attachContainer(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  options: { stdin: boolean },
): Promise<StreamSession> {
  const doing = `attach to container "${id}"`;
  throwIfAborted(call, doing);
  const container = containerStatus(deps, id);
  requireState(container, "attach");
  const monitor = requireMonitor(deps, container.podId, doing);
  const session = monitor.attach(id, { stdin: options.stdin && container.config.stdin });
  deps.sessions.add(container.podId, session);
  return session;
}
