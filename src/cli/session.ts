// Joins the user's terminal or pipes to the streams of a process in a container (Attach, Exec).

import { DetachFilter } from "./arguments/detach-keys.ts";
import type { RpcCall } from "./client/call.ts";
import { LOST } from "./client/call.ts";
import { RpcError } from "./client/rpc-error.ts";
import { type Context, writeTo } from "./command.ts";
import { enterRawMode, terminalSize } from "./terminal.ts";

/** What the requests and the answers of Attach and Exec have in common. */
export interface SessionInput {
  readonly start: undefined;
  readonly stdin: Buffer;
  readonly closeStdin: boolean;
  readonly resize: { rows: number; columns: number } | undefined;
}

export interface SessionAnswer {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exit: { readonly exitCode: number; readonly signal: number } | undefined;
}

export type Outcome = { readonly how: "exited"; readonly exitCode: number } | { readonly how: "detached" };

export interface SessionOptions {
  /** The process has a terminal: the user's one becomes raw, and changes of its size are passed on. */
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Empty: these streams cannot be left. */
  readonly detachKeys: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** The first request of a session: `start`, and nothing else. */
export function opening<Start>(start: Start) {
  return { start, stdin: NOTHING, closeStdin: false, resize: undefined };
}

function input(fields: Partial<SessionInput>): SessionInput {
  return { start: undefined, stdin: NOTHING, closeStdin: false, resize: undefined, ...fields };
}

/**
 * Passes everything on until the process ends or the user detaches. The terminal is restored whatever
 * happens.
 *
 * @throws RpcError when the process could not be started or the daemon went away
 */
export async function runSession(
  context: Context,
  call: RpcCall<SessionInput, SessionAnswer>,
  answers: AsyncIterable<SessionAnswer>,
  options: SessionOptions,
): Promise<Outcome> {
  let detached = false;
  const undo: (() => void)[] = [];
  if (options.tty) undo.push(passSize(context, call));
  if (options.tty && options.stdin && context.stdin.isTTY) undo.push(enterRawMode(context.stdin));
  if (options.stdin) {
    const detach = () => {
      detached = true;
      call.cancel();
    };
    undo.push(passInput(context.stdin, call, new DetachFilter(options.detachKeys), detach));
  } else {
    call.end();
  }
  try {
    for await (const answer of answers) {
      await writeTo(context.stdout, answer.stdout);
      await writeTo(context.stderr, answer.stderr);
      if (answer.exit !== undefined) return { how: "exited", exitCode: answer.exit.exitCode };
    }
  } finally {
    for (const step of undo) step();
  }
  if (detached) return { how: "detached" };
  throw new RpcError("UNAVAILABLE", LOST);
}

function passSize(context: Context, call: RpcCall<SessionInput, SessionAnswer>): () => void {
  const tell = () => {
    const size = terminalSize(context.stdout);
    if (size !== undefined) call.write(input({ resize: size }));
  };
  context.stdout.on("resize", tell);
  tell();
  return () => context.stdout.off("resize", tell);
}

function passInput(
  stdin: NodeJS.ReadStream,
  call: RpcCall<SessionInput, SessionAnswer>,
  filter: DetachFilter,
  detach: () => void,
): () => void {
  const take = (chunk: Buffer) => {
    const { data, detached } = filter.push(chunk);
    const room = data.length === 0 || call.write(input({ stdin: data }));
    if (detached) detach();
    else if (!room) stdin.pause();
  };
  const end = () => {
    call.write(input({ closeStdin: true }));
    call.end();
  };
  const fail = () => end();
  call.onDrain = () => stdin.resume();
  stdin.on("data", take);
  stdin.once("end", end);
  stdin.once("error", fail);
  return () => {
    call.onDrain = undefined;
    stdin.off("data", take);
    stdin.off("end", end);
    stdin.off("error", fail);
    stdin.pause();
  };
}
