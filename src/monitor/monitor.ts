// What the daemon asks of a pod's monitor. `connect.ts` is the real one.

import type { ExitFacts } from "../types/container.ts";
import type { ContainerId, Micros, PodId } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";

export interface PrepareRequest {
  readonly id: ContainerId;
  /** Absolute cgroup directory, made by the daemon. */
  readonly cgroupPath: string;
  /** Absolute; "" for none. */
  readonly logPath: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  /** Container whose PID namespace is joined when the plan says "container"; else "". */
  readonly pidTarget: ContainerId;
  readonly plan: Uint8Array;
  /** The plan gives layers that are mounts the ids of the pod's user namespace. */
  readonly mapsMounts?: boolean | undefined;
  /** The plan executes a foreign runtime that makes the process. */
  readonly launch?: RuntimeLaunch | undefined;
}

/** How a foreign runtime hands over the process that it makes. */
export interface RuntimeLaunch {
  /** Absolute directory, made by the daemon; the runtime runs in a child of it. */
  readonly cgroup: string;
  /** The runtime is killed after that; 0: never. */
  readonly limitMs: number;
  /** Where it writes the process's pid. */
  readonly pidFile: string;
  /** Socket to which it sends the terminal; "" without one. */
  readonly consoleSocket: string;
}

/** The same of an exec, which gets a cgroup of its own so that it can be killed as a whole. */
export interface ExecLaunch extends RuntimeLaunch {
  /** Absolute; made by the monitor. */
  readonly execCgroup: string;
  /** The runtime cannot put the process there: the monitor moves it once it runs. */
  readonly moves: boolean;
}

/** A program that the monitor runs to its end: a hook, or a command of a foreign runtime. */
export interface RunRequest {
  /** Container whose namespaces the plan joins; "" for none. */
  readonly target: ContainerId;
  /** Absolute directory; the program runs in a child of it. */
  readonly cgroup: string;
  /** Everything is killed after that; 0: never. */
  readonly limitMs: number;
  readonly stdin: Uint8Array;
  readonly plan: Uint8Array;
}

/** What starts the process that a foreign runtime has made. */
export type StartCommand = Pick<RunRequest, "cgroup" | "limitMs" | "plan">;

export interface RunOutcome {
  readonly exitCode: number;
  readonly signal: number;
  readonly timedOut: boolean;
  /** The end of what it wrote, at most 4 KiB. */
  readonly output: Buffer;
}

export interface ExecRequest {
  readonly container: ContainerId;
  /** The container's cgroup; the monitor makes a child of it for the exec. */
  readonly cgroupPath: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly rows: number;
  readonly columns: number;
  readonly plan: Uint8Array;
  readonly launch?: ExecLaunch | undefined;
  /** Closing the session leaves it running: what it writes is dropped then. */
  readonly detached?: boolean | undefined;
}

/**
 * Streams of an exec or of an attached container. Closing it ends the exec (all of its processes are
 * killed) or detaches.
 */
export interface StreamSession {
  onStdout: ((chunk: Buffer) => void) | undefined;
  onStderr: ((chunk: Buffer) => void) | undefined;
  /**
   * Resolves when the first process ended and its output was drained; rejects when it could not be started
   * (KernelError) or the monitor went away.
   */
  readonly exited: Promise<{ exitCode: number; signal: number }>;
  /** Resolves when the process runs. */
  readonly started: Promise<ProcessRef>;
  writeStdin(chunk: Uint8Array): void;
  /** True when the socket's buffer is full; onDrain is called when it is not any more. */
  readonly stdinBlocked: boolean;
  onDrain: (() => void) | undefined;
  closeStdin(): void;
  resize(rows: number, columns: number): void;
  /** Back-pressure towards the process. */
  pause(): void;
  resume(): void;
  close(): void;
}

/** What a monitor tells of one container, on connecting. */
export interface MonitoredContainer {
  readonly id: ContainerId;
  readonly state: "prepared" | "running" | "exited";
  readonly process: ProcessRef;
  readonly startedAt: Micros | null;
  readonly exit: ExitFacts | null;
}

export interface Monitor {
  readonly podId: PodId;
  readonly pid: number;
  /** PID 1 of the PID namespace that the pod's containers share; 0: they share none. */
  readonly podInitPid: number;
  /**
   * Clones the container's process and executes its plan up to "ready". Rejects with KernelError whose
   * step is "plan:<index>". A plan that pauses is answered there, and `proceed` brings it to "ready".
   */
  prepare(request: PrepareRequest): Promise<ProcessRef>;
  /**
   * Lets the prepared process execve. Resolves when it did; rejects with KernelError when execve failed
   * (the container is then gone).
   */
  start(id: ContainerId, command?: StartCommand): Promise<{ startedAt: Micros }>;
  /** Lets a prepared process go on that waits for hooks. Resolves at "ready", rejects as `prepare` does. */
  proceed(id: ContainerId): Promise<void>;
  /** Rejects with KernelError when a step of the plan failed; how the program ended is in the outcome. */
  run(request: RunRequest): Promise<RunOutcome>;
  /**
   * Kills a prepared or running process and forgets the container and its exit record. Unknown ids are
   * fine.
   */
  forget(id: ContainerId): Promise<void>;
  exec(request: ExecRequest): StreamSession;
  attach(id: ContainerId, options: { stdin: boolean }): StreamSession;
  resize(id: ContainerId, rows: number, columns: number): Promise<void>;
  /** Re-creates the log file at its path. */
  reopenLog(id: ContainerId): Promise<void>;
  /** Containers as of the connection's hello. */
  readonly containers: readonly MonitoredContainer[];
  /** Asks the monitor (and the pod's init) to end. */
  shutdown(): Promise<void>;
  /** Drops the connection only. */
  close(): void;
}

export interface MonitorEvents {
  onExit(id: ContainerId, exit: ExitFacts): void;
  /** The connection broke although nobody closed it. */
  onLost(podId: PodId): void;
}

export interface MonitorDriver {
  /** Connects to a running monitor; rejects within `timeoutMs`. */
  connect(podId: PodId, socketPath: string, events: MonitorEvents, timeoutMs: number): Promise<Monitor>;
  /** Reads the exit record that a monitor left in `stateDir`, or null. Needs no monitor. */
  readExitRecord(stateDir: string, id: ContainerId): Promise<ExitFacts | null>;
}
