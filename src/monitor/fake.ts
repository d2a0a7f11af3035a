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

export class FakeMonitor implements Monitor {
  readonly podId: PodId;
  readonly events: MonitorEvents;
  readonly calls: { readonly name: string; readonly args: readonly unknown[] }[] = [];
  readonly sessions: FakeSession[] = [];
  containers: readonly MonitoredContainer[] = [];
  readonly #spawn: () => ProcessRef;
  readonly #failures: Map<string, Error>;

  constructor(podId: PodId, events: MonitorEvents, failures: Map<string, Error>, spawn: () => ProcessRef) {
    this.podId = podId;
    this.events = events;
    this.#failures = failures;
    this.#spawn = spawn;
  }

  #record(name: string, ...args: unknown[]): void {
    this.calls.push({ name, args });
    const failure = this.#failures.get(name);
    if (failure !== undefined) throw failure;
  }

  async prepare(request: PrepareRequest): Promise<ProcessRef> {
    this.#record("prepare", request);
    return this.#spawn();
  }

  async start(id: ContainerId): Promise<{ startedAt: number }> {
    this.#record("start", id);
    return { startedAt: 42 };
  }

  async forget(id: ContainerId): Promise<void> {
    this.#record("forget", id);
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
  /** What the next connections' hello lists. */
  hello: readonly MonitoredContainer[] = [];
  readonly #spawn: () => ProcessRef;

  constructor(spawn: () => ProcessRef) {
    this.#spawn = spawn;
  }

  async connect(podId: PodId, _socketPath: string, events: MonitorEvents): Promise<Monitor> {
    const failure = this.failures.get("connect");
    if (failure !== undefined) throw failure;
    const monitor = new FakeMonitor(podId, events, this.failures, this.#spawn);
    monitor.containers = this.hello;
    this.monitors.set(podId, monitor);
    return monitor;
  }

  async readExitRecord(_stateDir: string, id: ContainerId): Promise<ExitFacts | null> {
    return this.records.get(id) ?? null;
  }
}
