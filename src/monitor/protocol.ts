// The frames of docs/monitor-protocol.md: their numbers, their layout, and reading them off a stream of
// chunks that are cut anywhere. addon/monitor/protocol.h mirrors the numbers.

import { ByteQueue } from "../lib/byte-queue.ts";
import { BerthError } from "../lib/errors.ts";

/** What HELLO says. Monitors of this version and of older ones are talked to. */
export const PROTOCOL_VERSION = 3;
export const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** STDIN is cut into frames of this size, so that WINDOW never waits behind a long one. */
export const STDIN_FRAME_BYTES = 64 * 1024;
export const HEADER_BYTES = 12;

export const FRAME = {
  HELLO: 1,
  PREPARE: 2,
  START: 3,
  FORGET: 4,
  RESIZE: 5,
  REOPEN_LOG: 6,
  SHUTDOWN: 7,
  EXEC: 8,
  ATTACH: 9,
  STDIN: 10,
  STDIN_CLOSE: 11,
  WINDOW: 12,
  RUN: 13,
  PROCEED: 14,
  WELCOME: 64,
  DONE: 65,
  FAILED: 66,
  EXITED: 67,
  STREAM_STARTED: 68,
  STDOUT: 69,
  STDERR: 70,
  STREAM_EXITED: 71,
} as const;

export interface Frame {
  readonly type: number;
  /** Of the request that it is or answers; 0 for news and streams. */
  readonly id: number;
  readonly payload: Buffer;
}

/** The peer does not speak the protocol: nothing that follows on its connection can be trusted. */
export function malformed(what: string): BerthError {
  return new BerthError("DATA_LOSS", `monitor protocol: ${what}`);
}

/** Builds a payload field by field, in the order of the calls. */
export class PayloadWriter {
  readonly #parts: Uint8Array[] = [];

  #fixed(bytes: number, fill: (buffer: Buffer) => void): this {
    const buffer = Buffer.alloc(bytes);
    fill(buffer);
    this.#parts.push(buffer);
    return this;
  }

  u8(value: number): this {
    return this.#fixed(1, (buffer) => buffer.writeUInt8(value));
  }

  u16(value: number): this {
    return this.#fixed(2, (buffer) => buffer.writeUInt16LE(value));
  }

  u32(value: number): this {
    return this.#fixed(4, (buffer) => buffer.writeUInt32LE(value));
  }

  u64(value: number): this {
    return this.#fixed(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value)));
  }

  /** u16 length and UTF-8. INVALID_ARGUMENT when it is longer than 65535 bytes. */
  str(value: string): this {
    const bytes = Buffer.from(value, "utf8");
    if (bytes.length > 0xffff) {
      const start = value.slice(0, 40);
      throw new BerthError(
        "INVALID_ARGUMENT",
        `"${start}…" is ${bytes.length} bytes long: at most 65535 work`,
      );
    }
    return this.u16(bytes.length).bytes(bytes);
  }

  /** u32 length and bytes. */
  blob(value: Uint8Array): this {
    return this.u32(value.length).bytes(value);
  }

  bytes(value: Uint8Array): this {
    this.#parts.push(value);
    return this;
  }

  /** The whole frame. INVALID_ARGUMENT when the payload exceeds 1 MiB. */
  frame(type: number, id: number): Buffer {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    if (length > MAX_PAYLOAD_BYTES) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `request of ${length} bytes to the monitor: at most ${MAX_PAYLOAD_BYTES} work; use fewer mounts, ` +
          "environment variables or arguments",
      );
    }
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt32LE(id, 8);
    return Buffer.concat([header, ...this.#parts], HEADER_BYTES + length);
  }
}

/** Reads a payload field by field. Throws `malformed` when it is too short; more at its end is allowed. */
export class PayloadReader {
  readonly #payload: Buffer;
  #at = 0;

  constructor(payload: Buffer) {
    this.#payload = payload;
  }

  #skip(bytes: number): number {
    const from = this.#at;
    if (bytes > this.#payload.length - from) {
      const { length } = this.#payload;
      throw malformed(`payload of ${length} bytes ends within a field of ${bytes} bytes at ${from}`);
    }
    this.#at = from + bytes;
    return from;
  }

  u8(): number {
    return this.#payload.readUInt8(this.#skip(1));
  }

  u16(): number {
    return this.#payload.readUInt16LE(this.#skip(2));
  }

  u32(): number {
    return this.#payload.readUInt32LE(this.#skip(4));
  }

  u64(): number {
    const value = this.#payload.readBigUInt64LE(this.#skip(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`integer ${value} is too large`);
    return Number(value);
  }

  str(): string {
    const length = this.u16();
    const from = this.#skip(length);
    return this.#payload.toString("utf8", from, from + length);
  }

  /** u32 length and bytes, not copied. */
  blob(): Buffer {
    const length = this.u32();
    const from = this.#skip(length);
    return this.#payload.subarray(from, from + length);
  }
}

/** Takes chunks in, gives frames out. Frames that lie within one chunk are not copied. */
export class FrameReader {
  readonly #received = new ByteQueue();
  #header: { readonly length: number; readonly type: number; readonly id: number } | null = null;

  push(chunk: Buffer): void {
    this.#received.push(chunk);
  }

  /**
   * The next frame, or null until more is pushed. Throws `malformed` for a header that cannot be one; every
   * later call throws again, because where the next frame begins is not known any more.
   */
  next(): Frame | null {
    if (this.#header === null) {
      if (this.#received.length < HEADER_BYTES) return null;
      this.#header = parseHeader(this.#received.peek(HEADER_BYTES));
      this.#received.take(HEADER_BYTES);
    }
    const { length, type, id } = this.#header;
    if (this.#received.length < length) return null;
    this.#header = null;
    return { type, id, payload: this.#received.take(length) };
  }
}

function parseHeader(bytes: Buffer): { length: number; type: number; id: number } {
  const length = bytes.readUInt32LE(0);
  const type = bytes.readUInt16LE(4);
  if (length > MAX_PAYLOAD_BYTES) {
    throw malformed(`frame of type ${type} with ${length} bytes: at most ${MAX_PAYLOAD_BYTES} are legal`);
  }
  if (bytes.readUInt16LE(6) !== 0) throw malformed(`frame of type ${type} with a damaged header`);
  return { length, type, id: bytes.readUInt32LE(8) };
}
