// One forwarded connection: bytes both ways between a client's stream and a socket in the pod, each direction
// ended by itself. An application that resets its connection is no error of the forwarding: clients give a
// whole session up when they are told of one.

import type { Duplex, Readable, Writable } from "node:stream";
import type { Call } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import type { PortsTarget } from "./target.ts";

/** How long a client may take to end its halves after it was told of the end. */
const LINGER_MS = 10_000;

export interface ForwardedStream {
  readonly input: Readable;
  readonly output: Writable;
  readonly error: Writable;
  /** Whether the client can end its direction by itself. */
  readonly halfCloses: boolean;
  /** Resets the client's stream. */
  reset(): void;
}

/** Connects and serves until both directions have ended. Never rejects. */
export async function forwardPort(
  target: PortsTarget,
  call: Call,
  port: number,
  stream: ForwardedStream,
): Promise<void> {
  let socket: Duplex;
  try {
    socket = await target.dial(call, port);
  } catch (error) {
    call.log.debug({ port, error: messageOf(error) }, "port-forward: no connection");
    if (stream.error.writable)
      stream.error.write(`forward port ${port} to ${target.title}: ${messageOf(error)}`);
    await dismiss(stream);
    return;
  }
  await join(stream, socket, call);
  await dismiss(stream);
}

function join(
  { input, output, halfCloses, reset }: ForwardedStream,
  socket: Duplex,
  call: Call,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => socket.destroy();
  // Without an end: the client took its stream back, or went away.
  output.once("close", () => {
    if (!output.writableFinished) stop();
  });
  input.once("close", () => {
    if (!input.readableEnded) stop();
  });
  call.signal.addEventListener("abort", stop, { once: true });
  let isBroken = false;
  socket.on("error", () => {
    isBroken = true;
  });
  socket.once("close", () => {
    call.signal.removeEventListener("abort", stop);
    resolve();
    if (!isBroken && socket.readableEnded) return;
    // What came before a reset by the application is passed on; then the client sees a reset as well.
    if (output.writable) output.write(Buffer.alloc(0), reset);
    else reset();
  });
  if (output.destroyed || input.destroyed || call.signal.aborted) {
    stop();
    return promise;
  }
  if (!halfCloses) socket.once("end", () => socket.end());
  input.pipe(socket);
  socket.pipe(output);
  return promise;
}

/** Ends what is sent, drops what still comes, and takes the streams back when the client keeps them. */
async function dismiss({ input, output, error, reset }: ForwardedStream): Promise<void> {
  input.resume();
  // However slowly the client reads: all of it.
  await Promise.all([sent(output), sent(error)]);
  const closed = [output, error].map((channel) => event(channel, "close"));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LINGER_MS);
  });
  await Promise.race([Promise.all(closed), late]);
  clearTimeout(timer);
  reset();
  error.destroy();
}

async function sent(channel: Writable): Promise<void> {
  if (channel.writable) channel.end();
  if (!channel.writableFinished) await Promise.race([event(channel, "finish"), event(channel, "close")]);
}

function event(channel: Writable, name: "finish" | "close"): Promise<void> {
  return new Promise((resolve) => {
    if (channel.destroyed) resolve();
    else channel.once(name, resolve);
  });
}
