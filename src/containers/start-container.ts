import { destroyCgroup } from "../cgroups/destroy-cgroup.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError, KernelError, messageOf } from "../lib/errors.ts";
import { outlive } from "../lib/outlive.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { commitContainerExited, commitContainerStarted } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import { requireState, stateOfContainer } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { requireMonitor } from "./require-monitor.ts";

/** Exit code of a container whose program could not be executed, as peers report it. */
const START_ERROR_CODE = 128;

/**
 * Lets the prepared process execute its program. Legal from CREATED; a RUNNING container is fine as it is.
 * When the program cannot be executed the container is EXITED with code 128 and reason "StartError", and the
 * error is thrown.
 */
export function startContainer(deps: ContainerDeps, call: Call, id: ContainerId): Promise<void> {
  return outlive(call, deps.starting, id, `start container "${id}"`, (own) => start(deps, own, id));
}

async function start(deps: ContainerDeps, call: Call, id: ContainerId): Promise<void> {
  const container = containerStatus(deps, id);
  // Asked again by a client that the first answer did not reach.
  if (stateOfContainer(container) === "RUNNING" && container.removingAt === null) return;
  requireState(container, "start");
  const monitor = requireMonitor(deps, container.podId, `start container "${id}"`);
  await call.observeStep("StartContainer", "release", "before");
  const startedAt = await release(deps, monitor, container);
  await call.observeStep("StartContainer", "release", "after");
  commitContainerStarted(deps.store, id, startedAt);
  await call.observeStep("StartContainer", "commit", "after");
  deps.events({ type: "container-started", containerId: id, podId: container.podId, at: startedAt });
}

async function release(deps: ContainerDeps, monitor: Monitor, container: Container): Promise<number> {
  try {
    return (await monitor.start(container.id)).startedAt;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const message = explain(container, error);
    const at = nowMicros();
    const exit = { finishedAt: at, exitCode: START_ERROR_CODE, signal: 0, oomKilled: false };
    commitContainerExited(deps.store, container.id, { ...exit, reason: "StartError", message });
    deps.events({ type: "container-stopped", containerId: container.id, podId: container.podId, at });
    deps.exits.notify(container.id, exit);
    clearCgroup(deps, container);
    throw new BerthError(error.code === "NOT_FOUND" ? "FAILED_PRECONDITION" : error.code, message, {
      cause: error,
    });
  }
}

function clearCgroup(deps: ContainerDeps, container: Container): void {
  destroyCgroup(deps.kernel, container.cgroupPath, `container "${container.id}"`).catch((error) => {
    deps.log.warn(
      { container: container.id, error: messageOf(error) },
      "clear cgroup of unstarted container",
    );
  });
}

function explain(container: Container, error: KernelError): string {
  const doing = `start container "${container.id}"`;
  const program = error.path === "" ? "its program" : `"${error.path}"`;
  if (error.errno === "ENOENT") return `${doing}: execute ${program}: no such file in the image`;
  if (error.errno === "EACCES") return `${doing}: execute ${program}: permission denied`;
  if (error.errno === "ENOEXEC") {
    const why = 'not a program for this machine (wrong architecture or no "#!" line)';
    return `${doing}: execute ${program}: ${why}`;
  }
  return `${doing}: execute ${program}: ${error.errno}`;
}
