// Monitors that only remember: for unit tests.

import type { ExitFacts } from "../types/container.ts";
import type { ContainerId, PodId } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";
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

export class FakeSession implements StreamSession {
  onStdout: ((chunk: Buffer) => void) | undefined;
  onStderr: ((chunk: Buffer) => void) | undefined;
  onDrain: (() => void) | undefined;
  readonly stdinBlocked = false;
  readonly started: Promise<ProcessRef> = Promise.resolve({ pid: 4000, startTime: 1 });
  readonly exited: Promise<{ exitCode: number; signal: number }>;
  closed = false;
  end: (exit: { exitCode: number; signal: number }) => void = () => {};
  fail: (error: Error) => void = () => {};

  constructor() {
    this.exited = new Promise((resolve, reject) => {
      this.end = resolve;
      this.fail = reject;
    });
  }

  writeStdin(): void {}
  closeStdin(): void {}
  resize(): void {}
  pause(): void {}
  resume(): void {}

  /** The monitor kills the processes, and then says so. */
  close(): void {
    this.closed = true;
    this.end({ exitCode: 137, signal: 9 });
  }
}

export interface FakeMonitorParts {
  /** By method name: thrown instead of acting. */
  readonly failures: Map<string, Error>;
  readonly spawn: () => ProcessRef;
  /** The monitor's containers: they outlive every connection. */
  readonly known: Map<ContainerId, MonitoredContainer>;
}

export class FakeMonitor implements Monitor {
  readonly podId: PodId;
  readonly pid = 3000;
  readonly podInitPid = 3001;
  readonly events: MonitorEvents;
  /** What the next programs end with; zero when there is none left. */
  readonly outcomes: RunOutcome[] = [];
  readonly calls: { readonly name: string; readonly args: readonly unknown[] }[] = [];
  readonly sessions: FakeSession[] = [];
  readonly containers: readonly MonitoredContainer[];
  readonly #spawn: () => ProcessRef;
  readonly #failures: Map<string, Error>;
  readonly #known: Map<ContainerId, MonitoredContainer>;

  constructor(podId: PodId, events: MonitorEvents, parts: FakeMonitorParts) {
    this.podId = podId;
    this.events = events;
    this.containers = [...parts.known.values()];
    this.#failures = parts.failures;
    this.#spawn = parts.spawn;
    this.#known = parts.known;
  }

  #record(name: string, ...args: unknown[]): void {
    this.calls.push({ name, args });
    const failure = this.#failures.get(name);
    if (failure !== undefined) throw failure;
  }

  async prepare(request: PrepareRequest): Promise<ProcessRef> {
    this.#record("prepare", request);
    const process = this.#spawn();
    const { id } = request;
    this.#known.set(id, { id, state: "prepared", process, startedAt: null, exit: null });
    return process;
  }

  async start(id: ContainerId, command?: StartCommand): Promise<{ startedAt: number }> {
    if (command === undefined) this.#record("start", id);
    else this.#record("start", id, command);
    const known = this.#known.get(id);
    if (known !== undefined) this.#known.set(id, { ...known, state: "running", startedAt: 42 });
    return { startedAt: 42 };
  }

  async proceed(id: ContainerId): Promise<void> {
    this.#record("proceed", id);
  }

  async run(request: RunRequest): Promise<RunOutcome> {
    this.#record("run", request);
    return this.outcomes.shift() ?? { exitCode: 0, signal: 0, timedOut: false, output: Buffer.alloc(0) };
  }

  async forget(id: ContainerId): Promise<void> {
    this.#record("forget", id);
    this.#known.delete(id);
  }

  exec(request: ExecRequest): StreamSession {
    this.#record("exec", request);
    return this.#session();
  }

  attach(id: ContainerId): StreamSession {
    this.#record("attach", id);
    return this.#session();
  }

  #session(): FakeSession {
    const session = new FakeSession();
    this.sessions.push(session);
    return session;
  }

  async resize(id: ContainerId, rows: number, columns: number): Promise<void> {
    this.#record("resize", id, rows, columns);
  }

  async reopenLog(id: ContainerId): Promise<void> {
    this.#record("reopenLog", id);
  }

  async shutdown(): Promise<void> {
    this.#record("shutdown");
  }

  close(): void {
    this.calls.push({ name: "close", args: [] });
  }
}

export class FakeMonitorDriver implements MonitorDriver {
  readonly monitors = new Map<PodId, FakeMonitor>();
  readonly records = new Map<ContainerId, ExitFacts>();
  /** By method name of driver and monitors: thrown instead of acting. */
  readonly failures = new Map<string, Error>();
  /** Containers of all monitors; what the next connections' hello lists. */
  readonly known = new Map<PodId, Map<ContainerId, MonitoredContainer>>();
  readonly #spawn: () => ProcessRef;

  constructor(spawn: () => ProcessRef) {
    this.#spawn = spawn;
  }

  async connect(podId: PodId, _socketPath: string, events: MonitorEvents): Promise<Monitor> {
    const failure = this.failures.get("connect");
    if (failure !== undefined) throw failure;
    const known = this.known.get(podId) ?? new Map<ContainerId, MonitoredContainer>();
    this.known.set(podId, known);
    const monitor = new FakeMonitor(podId, events, { failures: this.failures, spawn: this.#spawn, known });
    this.monitors.set(podId, monitor);
    return monitor;
  }

  /** The container's process ended: recorded, and told to who is connected. */
  exit(podId: PodId, id: ContainerId, exit: ExitFacts): void {
    const known = this.known.get(podId)?.get(id);
    if (known === undefined || known.state === "exited") return;
    this.known.get(podId)?.set(id, { ...known, state: "exited", exit });
    this.records.set(id, exit);
    this.monitors.get(podId)?.events.onExit(id, exit);
  }

  async readExitRecord(_stateDir: string, id: ContainerId): Promise<ExitFacts | null> {
    return this.records.get(id) ?? null;
  }
}
