// Channels in the messages of a WebSocket: the first byte (or, with base64, the first digit) of a message is
// its channel. There is no flow control per channel: one that is not read holds the whole connection.

import { Readable, Writable } from "node:stream";
import type { RawData, WebSocket } from "ws";
import type { ChannelProtocol } from "../protocols.ts";

/** What may wait for the reader of a channel before the connection is not read any more. */
const HOLD_BYTES = 256 * 1024;
/** How often a client that is not read is told that it is not forgotten; only so is it noticed to be gone. */
const PROBE_MS = 5_000;
/** How long a client may take to close after everything was sent to it. */
const FINISH_MS = 5_000;
/** In protocol 5: the next byte is a channel that the client is finished with. */
const CLOSE_SIGNAL = 255;
const DIGIT_ZERO = 0x30;
const NORMAL_CLOSURE = 1000;

type WriteCallback = (error?: Error | null) => void;

export class WebSocketChannels {
  /** Once: the connection is gone. */
  onClosed: (cause: Error | null) => void = () => {};
  readonly #socket: WebSocket;
  readonly #protocol: ChannelProtocol;
  readonly #inlets = new Map<number, Inlet>();
  readonly #full = new Set<Inlet>();
  #probe: NodeJS.Timeout | undefined;
  #cause: Error | null = null;

  constructor(socket: WebSocket, protocol: ChannelProtocol) {
    this.#socket = socket;
    this.#protocol = protocol;
    socket.on("message", (data, isBinary) => this.#take(data, isBinary));
    socket.on("error", (error) => {
      this.#cause = error;
    });
    socket.on("close", () => this.#closed());
  }

  /** What the client sends on `channel`. */
  readable(channel: number): Readable {
    const inlet = new Inlet((isFull) => this.#review(inlet, isFull));
    this.#inlets.set(channel, inlet);
    return inlet;
  }

  /** What is sent to the client on `channel`. */
  writable(channel: number): Writable {
    const writable = new Writable({
      highWaterMark: 64 * 1024,
      write: (chunk: Buffer, _encoding, callback) => this.#send(channel, chunk, callback),
    });
    // A connection that breaks is told by onClosed.
    writable.on("error", () => {});
    this.#socket.once("close", () => writable.destroy());
    return writable;
  }

  /** An empty message, by which clients see that the connection is theirs. */
  greet(channel: number): void {
    this.#send(channel, Buffer.alloc(0), () => {});
  }

  /** Closes in good order: the client reads what was sent. */
  finish(code = NORMAL_CLOSURE, reason = ""): void {
    const guard = setTimeout(() => this.#socket.terminate(), FINISH_MS);
    this.#socket.once("close", () => clearTimeout(guard));
    // What still comes is dropped.
    for (const inlet of this.#inlets.values()) inlet.destroy();
    this.#inlets.clear();
    this.#resume();
    this.#socket.close(code, reason);
  }

  destroy(): void {
    this.#socket.terminate();
  }

  #take(data: RawData, isBinary: boolean): void {
    const bytes = data as Buffer;
    if (bytes.length === 0) return;
    const isText = this.#protocol.isBase64 && !isBinary;
    const first = bytes[0] as number;
    if (this.#protocol.version >= 5 && first === CLOSE_SIGNAL) {
      if (bytes.length > 1) this.#inlets.get(bytes[1] as number)?.finish();
      return;
    }
    const channel = isText ? first - DIGIT_ZERO : first;
    const payload = bytes.subarray(1);
    // Of channels that nobody reads it is dropped, as it is elsewhere.
    this.#inlets.get(channel)?.receive(isText ? Buffer.from(payload.toString("latin1"), "base64") : payload);
  }

  #send(channel: number, chunk: Buffer, callback: WriteCallback): void {
    if (this.#protocol.isBase64) {
      this.#socket.send(`${String.fromCharCode(DIGIT_ZERO + channel)}${chunk.toString("base64")}`, callback);
    } else {
      this.#socket.send(Buffer.concat([Buffer.from([channel]), chunk]), { binary: true }, callback);
    }
  }

  #review(inlet: Inlet, isFull: boolean): void {
    if (isFull) this.#full.add(inlet);
    else this.#full.delete(inlet);
    if (this.#full.size === 0) this.#resume();
    else if (this.#probe === undefined) {
      this.#socket.pause();
      // Clients that ping give a server up that does not answer: it does, unasked.
      this.#probe = setInterval(() => {
        if (this.#socket.readyState === this.#socket.OPEN && this.#socket.bufferedAmount === 0) {
          this.#socket.pong();
        }
      }, PROBE_MS);
    }
  }

  #resume(): void {
    clearInterval(this.#probe);
    this.#probe = undefined;
    if (this.#socket.isPaused) this.#socket.resume();
  }

  #closed(): void {
    clearInterval(this.#probe);
    for (const inlet of this.#inlets.values()) inlet.destroy();
    this.onClosed(this.#cause);
  }
}

class Inlet extends Readable {
  readonly #onFull: (isFull: boolean) => void;
  #finished = false;

  constructor(onFull: (isFull: boolean) => void) {
    super({ highWaterMark: HOLD_BYTES });
    this.#onFull = onFull;
    this.on("error", () => {});
  }

  receive(bytes: Buffer): void {
    if (this.#finished || this.destroyed || bytes.length === 0) return;
    if (!this.push(bytes)) this.#onFull(true);
  }

  finish(): void {
    if (this.#finished || this.destroyed) return;
    this.#finished = true;
    this.push(null);
  }

  override _read(): void {
    this.#onFull(false);
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#onFull(false);
    callback(error);
  }
}
