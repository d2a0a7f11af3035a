// Joins a bidirectional gRPC call to the streams of a process. Back-pressure goes both ways: a client
// that does not read pauses the process's output, a process that does not read pauses the client.

import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Call } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import type { StreamSession } from "../monitor/monitor.ts";
import type { EngineDeps } from "./deps.ts";
import { callOf } from "./rpc.ts";
import { serviceError } from "./status.ts";

interface Opening<Start> {
  readonly start: Start | undefined;
}

/** What the messages of Attach and Exec have in common. */
export interface SessionRequest<Start> extends Opening<Start> {
  readonly stdin: Buffer;
  readonly closeStdin: boolean;
  readonly resize: { readonly rows: number; readonly columns: number } | undefined;
}

export interface SessionOutput {
  readonly stdout?: Buffer;
  readonly stderr?: Buffer;
  readonly exit?: { exitCode: number; signal: number };
}

export interface SessionShape<Start, Response> {
  /** Begins the session that the client's first message asks for. */
  open(call: Call, start: Start): Promise<StreamSession>;
  /** What to tell the client at once, or when the process runs. */
  greet(session: StreamSession, send: (response: Response) => void): void;
  respond(output: SessionOutput): Response;
}

/** Serves one Attach or Exec call until the process ends or the client goes away. */
export async function serveSession<Start, Response>(
  rpc: ServerDuplexStream<SessionRequest<Start>, Response>,
  surroundings: Pick<EngineDeps, "log" | "observeStep">,
  shape: SessionShape<Start, Response>,
): Promise<void> {
  const call = callOf(rpc, surroundings);
  try {
    const start = await firstMessage(rpc, call);
    const session = await shape.open(call, start);
    if (call.signal.aborted) {
      // Nobody will ever read it: an exec must not run on alone.
      session.exited.catch(() => {});
      session.started.catch(() => {});
      session.close();
      return;
    }
    await joinSession(rpc, call, session, shape);
  } catch (error) {
    rpc.emit("error", serviceError(error));
  }
}

/** Waits for the first message and leaves the call paused. INVALID_ARGUMENT when it opens nothing. */
export function firstMessage<Start>(
  rpc: ServerDuplexStream<Opening<Start>, unknown>,
  call: Call,
): Promise<Start> {
  return new Promise((resolve, reject) => {
    const refuse = (what: string) => reject(new BerthError("INVALID_ARGUMENT", `open a session: ${what}`));
    const ended = () => refuse("the call ended before its first message");
    rpc.once("end", ended);
    call.signal.addEventListener("abort", () => reject(call.signal.reason), { once: true });
    rpc.once("data", (message: Opening<Start>) => {
      rpc.pause();
      rpc.off("end", ended);
      if (message.start === undefined) refuse("the first message does not say what to open");
      else resolve(message.start);
    });
  });
}

function joinSession<Start, Response>(
  rpc: ServerDuplexStream<SessionRequest<Start>, Response>,
  call: Call,
  session: StreamSession,
  shape: SessionShape<Start, Response>,
): Promise<void> {
  let over = false;
  const send = (response: Response) => {
    if (!over && !rpc.write(response)) session.pause();
  };
  rpc.on("drain", () => session.resume());
  session.onStdout = (stdout) => send(shape.respond({ stdout }));
  session.onStderr = (stderr) => send(shape.respond({ stderr }));
  session.onDrain = () => rpc.resume();
  shape.greet(session, send);
  rpc.on("data", (message: SessionRequest<Start>) => {
    if (over) return;
    if (message.stdin.length > 0) session.writeStdin(message.stdin);
    if (message.closeStdin) session.closeStdin();
    if (message.resize !== undefined) session.resize(message.resize.rows, message.resize.columns);
    if (session.stdinBlocked) rpc.pause();
  });
  rpc.on("end", () => {
    if (!over) session.closeStdin();
  });
  const abandon = () => {
    if (over) return;
    over = true;
    session.close();
  };
  call.signal.addEventListener("abort", abandon, { once: true });
  // A connection that breaks does not always count as cancelled.
  rpc.on("close", abandon);
  rpc.on("error", abandon);
  rpc.resume();
  return session.exited.then(
    (exit) => {
      send(shape.respond({ exit }));
      over = true;
      rpc.end();
    },
    (error) => {
      if (over) return;
      over = true;
      throw error;
    },
  );
}
