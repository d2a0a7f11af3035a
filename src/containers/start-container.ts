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
import { clearContainer } from "./record-exit.ts";
import { requireMonitor } from "./require-monitor.ts";
import { hasHooks, runLateHooks } from "./run-hooks.ts";
import { StartRefusal, startProcess } from "./start-process.ts";

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
  if (hasHooks(container, "poststart")) {
    await runLateHooks(deps, monitor, container, "poststart", container.process?.pid ?? 0);
  }
  deps.events({ type: "container-started", containerId: id, podId: container.podId, at: startedAt });
}

async function release(deps: ContainerDeps, monitor: Monitor, container: Container): Promise<number> {
  try {
    return await startProcess(deps, monitor, container);
  } catch (error) {
    if (!(error instanceof KernelError || error instanceof StartRefusal)) throw error;
    const message = error instanceof KernelError ? explain(container, error) : error.message;
    const at = nowMicros();
    const exit = { finishedAt: at, exitCode: START_ERROR_CODE, signal: 0, oomKilled: false };
    commitContainerExited(deps.store, container.id, { ...exit, reason: "StartError", message });
    deps.events({ type: "container-stopped", containerId: container.id, podId: container.podId, at });
    deps.exits.notify(container.id, exit);
    clear(deps, monitor, container);
    throw new BerthError(error.code === "NOT_FOUND" ? "FAILED_PRECONDITION" : error.code, message, {
      cause: error,
    });
  }
}

/** A hook's failure leaves the prepared process, and everything the cgroup. */
function clear(deps: ContainerDeps, monitor: Monitor, container: Container): void {
  const forgotten = monitor.forget(container.id).catch(() => {});
  forgotten
    .then(() => clearContainer(deps, container))
    .catch((error) => {
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
