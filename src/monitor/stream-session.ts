// The streams of an exec or of an attached container, over a connection of their own.

import { BerthError, messageOf } from "../lib/errors.ts";
import type { PodId } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";
import { FrameConnection, notify } from "./frame-connection.ts";
import {
  decodeFailed,
  decodeProcess,
  decodeStreamExited,
  encodeEmpty,
  encodeHello,
  encodeStdin,
  encodeWindow,
} from "./messages.ts";
import type { StreamSession } from "./monitor.ts";
import { FRAME, type Frame, malformed, STDIN_FRAME_BYTES } from "./protocol.ts";

/** How long a monitor may take to kill the processes of a closed exec. */
const CLOSE_GUARD_MS = 10_000;

export interface StreamParts {
  readonly kind: "exec" | "attach";
  /** The process goes on when the session is closed: an attach, and an exec that is detached. */
  readonly outlives?: boolean | undefined;
  readonly podId: PodId;
  readonly socketPath: string;
  /** The EXEC or ATTACH frame. */
  readonly first: Buffer;
  /** For tests. */
  readonly closeGuardMs?: number;
}

type OutputHandler = (chunk: Buffer) => void;
interface StreamExit {
  readonly exitCode: number;
  readonly signal: number;
}

/**
 * Output waits, and with it the process, until the handler of its kind is set: who wants none sets a handler
 * that drops it. Handlers must not throw: what they throw surfaces as an uncaught exception.
 *
 * close() of an exec: output is dropped, and `exited` settles when the monitor has killed the processes.
 * Where input still waits to be sent the monitor would not see the end behind it, so the connection is
 * dropped instead and `exited` rejects with CANCELLED at once. close() of an attach: `exited` rejects with
 * CANCELLED.
 */
export class MonitorStream implements StreamSession {
  readonly started: Promise<ProcessRef>;
  readonly exited: Promise<StreamExit>;
  onDrain: (() => void) | undefined;
  readonly #connection: FrameConnection;
  readonly #parts: StreamParts;
  readonly #start = Promise.withResolvers<ProcessRef>();
  readonly #exit = Promise.withResolvers<StreamExit>();
  #onStdout: OutputHandler | undefined;
  #onStderr: OutputHandler | undefined;
  /** Output that no handler was there for. */
  #waiting: Frame | null = null;
  #paused = false;
  #closed = false;
  #settled = false;
  #guard: NodeJS.Timeout | undefined;

  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.started = this.#start.promise;
    this.exited = this.#exit.promise;
    // Who looks at neither must not end the daemon by an unhandled rejection.
    this.started.catch(() => {});
    this.exited.catch(() => {});
    this.#connection = new FrameConnection(parts.socketPath, {
      onFrame: (frame) => this.#take(frame),
      onDrain: () => this.#tellDrained(),
      onEnd: (cause) => this.#fail(this.#away(cause)),
    });
    // Without waiting for WELCOME: the control connection has checked the version.
    this.#connection.send(encodeHello());
    this.#connection.send(parts.first);
  }

  get onStdout(): OutputHandler | undefined {
    return this.#onStdout;
  }

  set onStdout(handler: OutputHandler | undefined) {
    this.#onStdout = handler;
    this.#reviewSoon();
  }

  get onStderr(): OutputHandler | undefined {
    return this.#onStderr;
  }

  set onStderr(handler: OutputHandler | undefined) {
    this.#onStderr = handler;
    this.#reviewSoon();
  }

  get stdinBlocked(): boolean {
    return this.#connection.isBlocked;
  }

  /** Ignored once the process has ended or the session is closed. */
  writeStdin(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at += STDIN_FRAME_BYTES) {
      this.#send(encodeStdin(chunk.subarray(at, at + STDIN_FRAME_BYTES)));
    }
  }

  closeStdin(): void {
    this.#send(encodeEmpty(0, FRAME.STDIN_CLOSE));
  }

  resize(rows: number, columns: number): void {
    this.#send(encodeWindow(rows, columns));
  }

  #send(frame: Buffer): void {
    if (!this.#closed && !this.#settled) this.#connection.send(frame);
  }

  #tellDrained(): void {
    if (!this.#closed) notify(() => this.onDrain?.());
  }

  pause(): void {
    this.#paused = true;
    this.#review();
  }

  resume(): void {
    this.#paused = false;
    this.#reviewSoon();
  }

  close(): void {
    if (this.#closed || this.#settled) return;
    this.#closed = true;
    const { kind, outlives = kind === "attach" } = this.#parts;
    if (outlives) this.#detach();
    else this.#endExec();
  }

  #detach(): void {
    // Input that was written before is still delivered.
    this.#connection.destroySoon(this.#guardMs);
    this.#settleWith(new BerthError("CANCELLED", "detached"));
  }

  #endExec(): void {
    if (!this.#connection.isFlushed) {
      this.#fail(new BerthError("CANCELLED", "exec closed before the monitor took all that was sent to it"));
      return;
    }
    this.#connection.end();
    this.#guard = setTimeout(() => {
      const late = `the monitor of pod "${this.#parts.podId}" did not tell that the closed exec ended`;
      this.#fail(new BerthError("UNAVAILABLE", late));
    }, this.#guardMs);
    this.#review();
  }

  get #guardMs(): number {
    return this.#parts.closeGuardMs ?? CLOSE_GUARD_MS;
  }

  #take(frame: Frame): void {
    switch (frame.type) {
      case FRAME.WELCOME:
      case FRAME.EXITED:
        // Not for streams: EXITED of any container may come until the monitor has read what this one is.
        break;
      case FRAME.STREAM_STARTED:
        this.#start.resolve(decodeProcess(frame.payload));
        break;
      case FRAME.STDOUT:
      case FRAME.STDERR:
        this.#waiting = frame;
        this.#review();
        break;
      case FRAME.STREAM_EXITED:
        this.#finish(decodeStreamExited(frame.payload));
        break;
      case FRAME.FAILED:
        this.#fail(decodeFailed(frame.payload));
        break;
      default:
        throw malformed(`a frame of type ${frame.type} on the connection of a stream`);
    }
  }

  /** Hands the waiting output over if it may be, and lets frames come when none waits. */
  #review(): void {
    if (this.#settled) return;
    if (this.#closed) this.#waiting = null;
    const frame = this.#waiting;
    const handler = frame?.type === FRAME.STDOUT ? this.#onStdout : this.#onStderr;
    if (frame !== null && handler !== undefined && !this.#paused) {
      this.#waiting = null;
      // May call back into pause() and close().
      notify(() => handler(frame.payload));
    }
    if (this.#settled) return;
    const isHeld = !this.#closed && (this.#paused || this.#waiting !== null);
    if (isHeld) this.#connection.hold();
    else this.#connection.release();
  }

  /** Not at once: who sets one handler sets the other in the same breath. */
  #reviewSoon(): void {
    queueMicrotask(() => this.#review());
  }

  #finish(exit: StreamExit): void {
    this.#start.reject(new BerthError("FAILED_PRECONDITION", "the process ended before it was started"));
    this.#connection.destroy();
    this.#settleWith(exit);
  }

  #fail(error: Error): void {
    this.#connection.destroy();
    this.#settleWith(error);
  }

  #settleWith(outcome: StreamExit | Error): void {
    clearTimeout(this.#guard);
    this.#settled = true;
    this.#waiting = null;
    if (outcome instanceof Error) {
      this.#start.reject(outcome);
      this.#exit.reject(outcome);
    } else {
      this.#exit.resolve(outcome);
    }
  }

  #away(cause: Error | null): BerthError {
    const { kind, podId } = this.#parts;
    const why = cause === null ? "" : `: ${messageOf(cause)}`;
    return new BerthError("UNAVAILABLE", `${kind}: the monitor of pod "${podId}" went away${why}`, { cause });
  }
}
