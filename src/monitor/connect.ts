// The real monitors: one process per pod, behind a unix socket (docs/monitor-protocol.md).

import { BerthError, messageOf } from "../lib/errors.ts";
import type { ContainerId, Micros, PodId } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";
import { ControlConnection } from "./control-connection.ts";
import { readExitRecord } from "./exit-record.ts";
import {
  decodeProcess,
  decodeRunOutcome,
  decodeStartedAt,
  encodeAttach,
  encodeEmpty,
  encodeExec,
  encodeNamed,
  encodePrepare,
  encodeResize,
  encodeRun,
  encodeStart,
  type Welcome,
} from "./messages.ts";
import type {
  ExecRequest,
  Monitor,
  MonitorDriver,
  MonitorEvents,
  MonitoredContainer,
  PrepareRequest,
  RunOutcome,
  RunRequest,
  StartCommand,
  StreamSession,
} from "./monitor.ts";
import { FRAME } from "./protocol.ts";
import { MonitorStream } from "./stream-session.ts";

const nothing = () => {};

/**
 * The driver that talks to real monitors. The functions of MonitorEvents must not throw: what they throw
 * surfaces as an uncaught exception, and the connection goes on.
 */
export function makeMonitorDriver(): MonitorDriver {
  return { connect, readExitRecord };
}

/**
 * Rejects with UNAVAILABLE, naming the socket, when no monitor answers within `timeoutMs`; with
 * FAILED_PRECONDITION when it speaks a version that this daemon does not know.
 */
async function connect(
  podId: PodId,
  socketPath: string,
  events: MonitorEvents,
  timeoutMs: number,
): Promise<Monitor> {
  const control = new ControlConnection(podId, socketPath, events);
  try {
    return new ConnectedMonitor({ podId, socketPath, control, welcome: await control.greet(timeoutMs) });
  } catch (error) {
    const code =
      error instanceof BerthError && error.code === "FAILED_PRECONDITION" ? error.code : "UNAVAILABLE";
    const doing = `connect to the monitor of pod "${podId}" at "${socketPath}"`;
    throw new BerthError(code, `${doing}: ${messageOf(error)}`, { cause: error });
  }
}

interface ConnectedParts {
  readonly podId: PodId;
  readonly socketPath: string;
  readonly control: ControlConnection;
  readonly welcome: Welcome;
}

class ConnectedMonitor implements Monitor {
  readonly podId: PodId;
  readonly pid: number;
  readonly podInitPid: number;
  readonly containers: readonly MonitoredContainer[];
  readonly #version: number;
  readonly #socketPath: string;
  readonly #control: ControlConnection;

  constructor(parts: ConnectedParts) {
    this.podId = parts.podId;
    this.pid = parts.welcome.pid;
    this.podInitPid = parts.welcome.podInitPid;
    this.containers = parts.welcome.containers;
    this.#version = parts.welcome.version;
    this.#socketPath = parts.socketPath;
    this.#control = parts.control;
  }

  async prepare(request: PrepareRequest): Promise<ProcessRef> {
    if (request.launch !== undefined) this.#require(2, "hooks and OCI runtimes");
    if (request.mapsMounts === true) this.#require(3, "layers that are images in a user namespace");
    return await this.#control.request((id) => encodePrepare(id, request), decodeProcess);
  }

  start(container: ContainerId, command?: StartCommand): Promise<{ startedAt: Micros }> {
    return this.#control.request(
      (id) => encodeStart(id, container, command),
      (payload) => ({ startedAt: decodeStartedAt(payload) }),
    );
  }

  proceed(container: ContainerId): Promise<void> {
    return this.#control.request((id) => encodeNamed(id, FRAME.PROCEED, container), nothing);
  }

  async run(request: RunRequest): Promise<RunOutcome> {
    this.#require(2, "hooks and OCI runtimes");
    return await this.#control.request((id) => encodeRun(id, request), decodeRunOutcome);
  }

  /** Monitors of a daemon before an upgrade go on; what they cannot do yet needs a new pod. */
  #require(version: number, what: string): void {
    if (this.#version >= version) return;
    throw new BerthError(
      "FAILED_PRECONDITION",
      `the monitor of pod "${this.podId}" was started by an older berth, without ${what}; run a new pod`,
    );
  }

  forget(container: ContainerId): Promise<void> {
    return this.#control.request((id) => encodeNamed(id, FRAME.FORGET, container), nothing);
  }

  resize(container: ContainerId, rows: number, columns: number): Promise<void> {
    return this.#control.request((id) => encodeResize(id, container, rows, columns), nothing);
  }

  reopenLog(container: ContainerId): Promise<void> {
    return this.#control.request((id) => encodeNamed(id, FRAME.REOPEN_LOG, container), nothing);
  }

  exec(request: ExecRequest): StreamSession {
    return this.#open("exec", encodeExec(request), request.detached);
  }

  attach(id: ContainerId, options: { stdin: boolean }): StreamSession {
    return this.#open("attach", encodeAttach(id, options));
  }

  #open(kind: "exec" | "attach", first: Buffer, outlives?: boolean): StreamSession {
    return new MonitorStream({ kind, outlives, podId: this.podId, socketPath: this.#socketPath, first });
  }

  shutdown(): Promise<void> {
    return this.#control.leave((id) => encodeEmpty(id, FRAME.SHUTDOWN));
  }

  close(): void {
    this.#control.close();
  }
}
