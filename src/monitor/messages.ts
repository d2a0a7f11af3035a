// Requests as frames, and payloads of answers as values (docs/monitor-protocol.md).

import { KernelError } from "../lib/errors.ts";
import type { ExitFacts } from "../types/container.ts";
import type { ContainerId, Micros } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";
import type {
  ExecRequest,
  MonitoredContainer,
  PrepareRequest,
  RunOutcome,
  RunRequest,
  RuntimeLaunch,
  StartCommand,
} from "./monitor.ts";
import { FRAME, malformed, PayloadReader, PayloadWriter, PROTOCOL_VERSION } from "./protocol.ts";

const TTY = 1;
const STDIN = 2;
const STDIN_ONCE = 4;
const RUNTIME = 8;
const DETACHED = 16;
/** Step index of a failure outside the plan. */
const NO_STEP = 0xffff;
const STATES = { 1: "prepared", 2: "running", 3: "exited" } as const;

/** The kernel keeps terminal sizes in 16 bits: a client that asks for more gets the largest one. */
function cells(count: number): number {
  return Math.min(Math.max(Math.trunc(count) || 0, 0), 0xffff);
}

export function encodeHello(): Buffer {
  return new PayloadWriter().u16(PROTOCOL_VERSION).frame(FRAME.HELLO, 0);
}

export function encodePrepare(id: number, request: PrepareRequest): Buffer {
  const { launch } = request;
  const flags = (request.tty ? TTY : 0) | (request.stdin ? STDIN : 0) | (request.stdinOnce ? STDIN_ONCE : 0);
  const writer = new PayloadWriter()
    .str(request.id)
    .str(request.cgroupPath)
    .str(request.logPath)
    .u8(flags | (launch === undefined ? 0 : RUNTIME))
    .str(request.pidTarget)
    .blob(request.plan);
  if (launch !== undefined) writeLaunch(writer, launch);
  return writer.frame(FRAME.PREPARE, id);
}

function writeLaunch(writer: PayloadWriter, launch: RuntimeLaunch): PayloadWriter {
  return writer.str(launch.cgroup).u32(launch.limitMs).str(launch.pidFile).str(launch.consoleSocket);
}

export function encodeStart(id: number, container: ContainerId, command?: StartCommand): Buffer {
  const writer = new PayloadWriter().str(container);
  if (command !== undefined) writer.str(command.cgroup).u32(command.limitMs).blob(command.plan);
  return writer.frame(FRAME.START, id);
}

export function encodeRun(id: number, request: RunRequest): Buffer {
  return new PayloadWriter()
    .str(request.target)
    .str(request.cgroup)
    .u32(request.limitMs)
    .blob(request.stdin)
    .blob(request.plan)
    .frame(FRAME.RUN, id);
}

/** FORGET, REOPEN_LOG and PROCEED. */
export function encodeNamed(id: number, type: number, container: ContainerId): Buffer {
  return new PayloadWriter().str(container).frame(type, id);
}

export function encodeResize(id: number, container: ContainerId, rows: number, columns: number): Buffer {
  return new PayloadWriter().str(container).u16(cells(rows)).u16(cells(columns)).frame(FRAME.RESIZE, id);
}

/** SHUTDOWN and STDIN_CLOSE. */
export function encodeEmpty(id: number, type: number): Buffer {
  return new PayloadWriter().frame(type, id);
}

export function encodeExec(request: ExecRequest): Buffer {
  const { launch } = request;
  const detached = request.detached === true ? DETACHED : 0;
  const flags = (request.tty ? TTY : 0) | (request.stdin ? STDIN : 0) | detached;
  const writer = new PayloadWriter()
    .str(request.container)
    .str(request.cgroupPath)
    .u8(flags | (launch === undefined ? 0 : RUNTIME))
    .u16(cells(request.rows))
    .u16(cells(request.columns))
    .blob(request.plan);
  if (launch !== undefined)
    writeLaunch(writer, launch)
      .str(launch.execCgroup)
      .u8(launch.moves ? 1 : 0);
  return writer.frame(FRAME.EXEC, 0);
}

export function encodeAttach(container: ContainerId, options: { stdin: boolean }): Buffer {
  return new PayloadWriter()
    .str(container)
    .u8(options.stdin ? STDIN : 0)
    .frame(FRAME.ATTACH, 0);
}

export function encodeStdin(chunk: Uint8Array): Buffer {
  return new PayloadWriter().bytes(chunk).frame(FRAME.STDIN, 0);
}

export function encodeWindow(rows: number, columns: number): Buffer {
  return new PayloadWriter().u16(cells(rows)).u16(cells(columns)).frame(FRAME.WINDOW, 0);
}

export interface Welcome {
  readonly version: number;
  readonly pid: number;
  readonly podInitPid: number;
  readonly containers: readonly MonitoredContainer[];
}

/** `containers` is empty when the version is none that this daemon knows. */
export function decodeWelcome(payload: Buffer): Welcome {
  const reader = new PayloadReader(payload);
  const version = reader.u16();
  if (version > PROTOCOL_VERSION) return { version, pid: 0, podInitPid: 0, containers: [] };
  const pid = reader.u32();
  const count = reader.u32();
  const containers: MonitoredContainer[] = [];
  for (let index = 0; index < count; index++) containers.push(readContainer(reader));
  // Version 1 did not tell.
  const podInitPid = version >= 2 ? reader.u32() : 0;
  return { version, pid, podInitPid, containers };
}

function readContainer(reader: PayloadReader): MonitoredContainer {
  const id = reader.str();
  const number = reader.u8();
  const state = (STATES as Record<number, MonitoredContainer["state"] | undefined>)[number];
  if (state === undefined) throw malformed(`container "${id}" is in the unknown state ${number}`);
  const process = readProcess(reader);
  const startedAt = reader.u64();
  const exit = readExit(reader);
  return {
    id,
    state,
    process,
    startedAt: startedAt === 0 ? null : startedAt,
    exit: state === "exited" ? exit : null,
  };
}

function readProcess(reader: PayloadReader): ProcessRef {
  return { pid: reader.u32(), startTime: reader.u64() };
}

function readExit(reader: PayloadReader): ExitFacts {
  return {
    finishedAt: reader.u64(),
    exitCode: reader.u8(),
    signal: reader.u8(),
    oomKilled: reader.u8() !== 0,
  };
}

/** DONE of PREPARE, and STREAM_STARTED. */
export function decodeProcess(payload: Buffer): ProcessRef {
  return readProcess(new PayloadReader(payload));
}

/** DONE of RUN. */
export function decodeRunOutcome(payload: Buffer): RunOutcome {
  const reader = new PayloadReader(payload);
  return {
    exitCode: reader.u8(),
    signal: reader.u8(),
    timedOut: reader.u8() !== 0,
    output: Buffer.from(reader.blob()),
  };
}

/** DONE of START. */
export function decodeStartedAt(payload: Buffer): Micros {
  return new PayloadReader(payload).u64();
}

export function decodeExited(payload: Buffer): { id: ContainerId; exit: ExitFacts } {
  const reader = new PayloadReader(payload);
  return { id: reader.str(), exit: readExit(reader) };
}

export function decodeStreamExited(payload: Buffer): { exitCode: number; signal: number } {
  const reader = new PayloadReader(payload);
  return { exitCode: reader.u8(), signal: reader.u8() };
}

/** FAILED, as the error to reject with: its step is "plan:<index>", or the primitive outside the plan. */
export function decodeFailed(payload: Buffer): KernelError {
  const reader = new PayloadReader(payload);
  const index = reader.u32();
  const errno = reader.str();
  const primitive = reader.str();
  return new KernelError(index === NO_STEP ? primitive : `plan:${index}`, errno, reader.str());
}
