import type { Call } from "../lib/call.ts";
import { throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import type { Monitor, StreamSession } from "../monitor/monitor.ts";
import { buildExecPlan } from "../spec/build-exec-plan.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import type { ExecPlanInput } from "../spec/inputs.ts";
import type { Container } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";
import { execByRuntime } from "./exec-by-runtime.ts";
import { explainedSession } from "./explained-session.ts";
import { execInput } from "./plan-exec.ts";
import { requireMonitor } from "./require-monitor.ts";

export interface ExecRequest {
  readonly argv: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Size of the terminal; 0: not known yet. */
  readonly rows: number;
  readonly columns: number;
  /** "NAME=value". */
  readonly env?: readonly string[] | undefined;
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
  readonly privileged?: boolean | undefined;
  /** Closing the session leaves it running. */
  readonly detached?: boolean | undefined;
}

/**
 * Runs one more process in a RUNNING container and gives its streams. Closing the session kills it and
 * everything that it started. `exited` rejects with an explained error when it could not be executed.
 */
export async function openExec(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  request: ExecRequest,
): Promise<StreamSession> {
  const doing = `exec in container "${id}"`;
  if (request.argv.length === 0 || request.argv[0] === "") {
    throw new BerthError("INVALID_ARGUMENT", `${doing}: no command is given`);
  }
  const container = containerStatus(deps, id);
  requireState(container, "exec");
  const input = await execInput(deps, container, {
    ...request,
    console: request.tty ? { rows: request.rows, columns: request.columns } : undefined,
  });
  throwIfAborted(call, doing);
  requireState(containerStatus(deps, id), "exec");
  const monitor = requireMonitor(deps, container.podId, doing);
  const session = await begin(deps, monitor, container, { request, input, doing });
  deps.sessions.add(container.podId, session);
  return session;
}

async function begin(
  deps: ContainerDeps,
  monitor: Monitor,
  container: Container,
  { request, input, doing }: { request: ExecRequest; input: ExecPlanInput; doing: string },
): Promise<StreamSession> {
  const { tty, stdin, rows, columns, detached } = request;
  const { id, cgroupPath } = container;
  const streams = { container: id, cgroupPath, tty, stdin, rows, columns, detached };
  const handler = container.runtime?.handler ?? null;
  if (handler !== null) {
    return await execByRuntime(deps, monitor, container, handler, { streams, input, doing });
  }
  const plan = buildExecPlan(input);
  return explainedSession(monitor.exec({ ...streams, plan: encodePlan(plan) }), doing, plan);
}
