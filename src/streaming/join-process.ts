// Joins the streams of a process to the channels of a client. Back-pressure goes both ways: a client that
// does not read pauses the process's output, a process that does not read pauses the client.

import type { Readable, Writable } from "node:stream";
import type { Call } from "../lib/call.ts";
import type { StreamSession } from "../monitor/monitor.ts";
import { type Outcome, outcomeMessage } from "./outcome.ts";
import type { ProcessTarget } from "./target.ts";
import { TerminalSizes } from "./terminal-size.ts";

/**
 * Clients send the size of their terminal right behind its channel: a program that looks at once shall find
 * it. One that sends none waits no longer than nobody notices.
 */
const FIRST_SIZE_MS = 100;

/** The channels of one client, whatever they travel over. They may close by themselves, without an error. */
export interface ProcessChannels {
  readonly stdin: Readable | null;
  readonly stdout: Writable | null;
  readonly stderr: Writable | null;
  readonly resize: Readable | null;
  readonly error: Writable;
  /** Of the channel protocol. */
  readonly version: number;
}

/**
 * Serves until the process has ended and the client was sent everything and the outcome, or until
 * `call.signal` aborts, which ends an exec and leaves an attached container alone.
 */
export async function joinProcess(
  target: ProcessTarget,
  channels: ProcessChannels,
  call: Call,
): Promise<void> {
  const outcome = await run(target, channels, call);
  await Promise.all([ended(channels.stdout), ended(channels.stderr)]);
  const message = outcomeMessage(outcome, channels.version);
  if (message !== "" && channels.error.writable) channels.error.write(message);
  await ended(channels.error);
}

async function run(target: ProcessTarget, channels: ProcessChannels, call: Call): Promise<Outcome> {
  try {
    const sizes = channels.resize === null ? null : new TerminalSizes(channels.resize);
    const size = await sizes?.first(FIRST_SIZE_MS);
    const session = await target.open(call, size);
    const leave = () => session.close();
    // Nobody will ever read it: an exec must not run on alone.
    if (call.signal.aborted) leave();
    else call.signal.addEventListener("abort", leave, { once: true });
    try {
      passOutputs(session, channels);
      if (channels.stdin !== null) passInput(session, channels.stdin);
      sizes?.follow(({ rows, columns }) => session.resize(rows, columns));
      const { exitCode } = await session.exited;
      if (call.signal.aborted) return { error: call.signal.reason };
      return { exitCode: target.tellsExitCode ? exitCode : 0 };
    } finally {
      call.signal.removeEventListener("abort", leave);
    }
  } catch (error) {
    // A session that was closed because of this ends in an error of its own.
    return { error: call.signal.aborted ? call.signal.reason : error };
  }
}

function passOutputs(session: StreamSession, { stdout, stderr }: ProcessChannels): void {
  const full = new Set<Writable>();
  const sink = (channel: Writable | null) => {
    // What the client did not ask for is dropped.
    if (channel === null) return () => {};
    const room = () => {
      if (full.delete(channel) && full.size === 0) session.resume();
    };
    channel.on("drain", room);
    channel.on("close", room);
    return (chunk: Buffer) => {
      if (!channel.writable || channel.write(chunk)) return;
      full.add(channel);
      session.pause();
    };
  };
  session.onStdout = sink(stdout);
  session.onStderr = sink(stderr);
}

function passInput(session: StreamSession, stdin: Readable): void {
  session.onDrain = () => stdin.resume();
  stdin.on("data", (chunk: Buffer) => {
    session.writeStdin(chunk);
    if (session.stdinBlocked) stdin.pause();
  });
  let isClosed = false;
  const close = () => {
    if (!isClosed) session.closeStdin();
    isClosed = true;
  };
  stdin.on("end", close);
  stdin.on("close", close);
}

/** Ends a channel; resolves when all of it was sent, or it is gone. */
function ended(channel: Writable | null): Promise<void> {
  if (channel === null || channel.destroyed || channel.writableFinished) return Promise.resolve();
  return new Promise((resolve) => {
    channel.once("close", resolve);
    channel.end(() => resolve());
  });
}
