// One connection to a monitor: frames in and out, flow control, and exactly one end.

import { ReadToEndSocket } from "../lib/read-to-end-socket.ts";
import { type Frame, FrameReader } from "./protocol.ts";

export interface FrameConnectionHandlers {
  /** An error that is thrown means that the monitor broke the protocol; the connection ends with it. */
  onFrame(frame: Frame): void;
  /** The connection was made. */
  onConnect?(): void;
  /** What was sent has left the process, after `isBlocked` was true. */
  onDrain?(): void;
  /**
   * Called once, after the last frame was delivered, unless destroy() was called. `cause` is null when the
   * monitor closed the connection in order.
   */
  onEnd(cause: Error | null): void;
}

export class FrameConnection {
  readonly #socket = new ReadToEndSocket({ allowHalfOpen: true });
  readonly #reader = new FrameReader();
  readonly #handlers: FrameConnectionHandlers;
  #held = false;
  #delivering = false;
  #over = false;
  /** How the connection ended, when frames from before may still wait for delivery. */
  #ended: { readonly cause: Error | null } | null = null;

  constructor(socketPath: string, handlers: FrameConnectionHandlers) {
    this.#handlers = handlers;
    const socket = this.#socket;
    let failure: Error | null = null;
    socket.on("connect", () => handlers.onConnect?.());
    socket.on("data", (chunk: Buffer) => {
      if (this.#over) return;
      this.#reader.push(chunk);
      this.#deliver();
    });
    socket.on("drain", () => {
      if (!this.#over) handlers.onDrain?.();
    });
    socket.on("end", () => this.#meetEnd(null));
    socket.on("error", (error) => {
      failure = error;
    });
    socket.on("close", () => this.#meetEnd(failure));
    socket.connect({ path: socketPath });
  }

  /** True when more was sent than the monitor takes for now. */
  get isBlocked(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** True when nothing that was sent still waits in this process. */
  get isFlushed(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Ignored after end() and after the connection's end. */
  send(frame: Buffer): void {
    if (!this.#over && this.#socket.writable) this.#socket.write(frame);
  }

  /** Delivers no frames until release(); the monitor is made to wait. The end of the connection waits too. */
  hold(): void {
    this.#held = true;
    this.#socket.pause();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#deliver();
    if (!this.#held && !this.#over) this.#socket.resume();
  }

  /** Ends the sending direction only. */
  end(): void {
    this.#socket.end();
  }

  /** Drops the connection: no handler is called any more. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  /** The same, once everything that was sent has left the process, or after `graceMs`. */
  destroySoon(graceMs: number): void {
    this.#over = true;
    const socket = this.#socket;
    const guard = setTimeout(() => socket.destroy(), graceMs);
    socket.once("close", () => clearTimeout(guard));
    // Output is read and dropped, so that a monitor busy with sending it comes to take the input.
    socket.resume();
    socket.destroySoon();
  }

  #meetEnd(cause: Error | null): void {
    if (this.#over || this.#ended !== null) return;
    this.#ended = { cause };
    // A reset connection leaves what was received before in the socket's buffer.
    for (let rest = this.#socket.read(); rest !== null; rest = this.#socket.read()) {
      this.#reader.push(rest as Buffer);
    }
    this.#deliver();
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (!this.#held && !this.#over) {
        const frame = this.#reader.next();
        if (frame === null) break;
        this.#handlers.onFrame(frame);
      }
    } catch (error) {
      this.#finish(error as Error);
    } finally {
      this.#delivering = false;
    }
    if (this.#ended !== null && !this.#held) this.#finish(this.#ended.cause);
  }

  #finish(cause: Error | null): void {
    if (this.#over) return;
    this.destroy();
    this.#handlers.onEnd(cause);
  }
}

/**
 * Calls a handler of the connection's user. What it throws must neither be lost nor stop the frames behind:
 * it surfaces as an uncaught exception of its own.
 */
export function notify(handler: () => void): void {
  try {
    handler();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
