// One stream of a SPDY session as a Node stream: reading takes what the client sends, writing sends, ending
// either half closes it, destroying resets it.

import { Duplex } from "node:stream";
import { INITIAL_WINDOW_BYTES, RESET } from "./frames.ts";
import type { Headers } from "./header-block.ts";

/** What a stream asks of its session. */
export interface SessionLink {
  /** How many bytes `stream` may send right now. When 0, the session calls flush() once there is room. */
  room(stream: SpdyStream): number;
  sendData(stream: SpdyStream, bytes: Buffer): void;
  sendFin(stream: SpdyStream): void;
  sendReply(stream: SpdyStream): void;
  sendReset(stream: SpdyStream, status: number): void;
  /** The reader took `bytes` more. */
  sendCredit(stream: SpdyStream, bytes: number): void;
  /** What waits for the reader changed by `change` bytes. */
  unreadChanged(stream: SpdyStream, change: number): void;
  forget(stream: SpdyStream): void;
}

type WriteCallback = (error?: Error | null) => void;

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: Headers;
  /** What the client's window for this stream still takes. */
  sendWindow: number;
  readonly #link: SessionLink;
  #pending: Buffer | null = null;
  #written: WriteCallback | null = null;
  #received = 0;
  #credited = 0;
  #unread = 0;
  #peerEnded = false;
  #peerReset = false;
  #finSent = false;

  constructor(link: SessionLink, id: number, headers: Headers, sendWindow: number) {
    super({ allowHalfOpen: true, readableHighWaterMark: INITIAL_WINDOW_BYTES });
    this.#link = link;
    this.id = id;
    this.headers = headers;
    this.sendWindow = sendWindow;
  }

  /** Bytes that nobody has read yet. */
  get unread(): number {
    return this.#unread;
  }

  /** Answers the client that the stream is there. To be called before anything is written. */
  accept(): this {
    this.#link.sendReply(this);
    return this;
  }

  /** Tells the client that it cannot have this stream. */
  refuse(): void {
    this.#link.sendReset(this, RESET.REFUSED_STREAM);
    this.#peerReset = true;
    this.destroy();
  }

  /** For the session: bytes came. */
  receive(bytes: Buffer): void {
    if (this.#peerEnded || this.destroyed) return;
    this.#received += bytes.length;
    this.push(bytes);
    this.#review();
  }

  /** For the session: the client will send no more. */
  receiveEnd(): void {
    if (this.#peerEnded || this.destroyed) return;
    this.#peerEnded = true;
    this.push(null);
  }

  /** For the session: the client reset the stream. Readers and writers see a close without an end. */
  receiveReset(): void {
    this.#peerReset = true;
    this.destroy();
  }

  /** For the session: there may be room again. */
  flush(): void {
    while (this.#pending !== null) {
      const room = this.#link.room(this);
      if (room <= 0) return;
      const bytes = this.#pending.subarray(0, room);
      this.#pending = bytes.length === this.#pending.length ? null : this.#pending.subarray(bytes.length);
      this.#link.sendData(this, bytes);
    }
    const written = this.#written;
    this.#written = null;
    written?.();
  }

  /** What comes is pushed when it comes. */
  override _read(): void {}

  /** Everything that readers take is taken here, or was never kept. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this.#review();
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#pending = chunk.length === 0 ? null : chunk;
    this.#written = callback;
    this.flush();
  }

  override _final(callback: WriteCallback): void {
    this.#finSent = true;
    this.#link.sendFin(this);
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    const isOver = this.#peerReset || (this.#peerEnded && this.#finSent);
    if (!isOver) this.#link.sendReset(this, RESET.CANCEL);
    this.#pending = null;
    this.#link.unreadChanged(this, -this.#unread);
    this.#unread = 0;
    this.#link.forget(this);
    const written = this.#written;
    this.#written = null;
    callback(error);
    written?.(error);
  }

  /** Tells the session what waits, and the client what was taken: its window opens again by that much. */
  #review(): void {
    if (this.destroyed) return;
    const change = this.readableLength - this.#unread;
    if (change !== 0) {
      this.#unread += change;
      this.#link.unreadChanged(this, change);
    }
    const taken = this.#received - this.#unread - this.#credited;
    if (taken < INITIAL_WINDOW_BYTES / 2 || this.#peerEnded) return;
    this.#credited += taken;
    this.#link.sendCredit(this, taken);
  }
}
