// The frames of SPDY/3.1 (protocol draft 3.1, section 2.2), read and written.

import { ByteQueue } from "../../lib/byte-queue.ts";

export const FRAME = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const;

export const FLAG_FIN = 1;
export const FLAG_UNIDIRECTIONAL = 2;

/** Status of RST_STREAM (section 2.6.3). */
export const RESET = {
  PROTOCOL_ERROR: 1,
  INVALID_STREAM: 2,
  REFUSED_STREAM: 3,
  CANCEL: 5,
  FLOW_CONTROL_ERROR: 7,
} as const;

/** Status of GOAWAY (section 2.6.6). */
export const GOAWAY = { OK: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2 } as const;

export const SETTING_INITIAL_WINDOW_SIZE = 7;
export const INITIAL_WINDOW_BYTES = 64 * 1024;
/** Stream ids, window sizes and increments have 31 bits. */
export const MAX_31_BITS = 0x7fff_ffff;

const VERSION = 3;
const HEADER_BYTES = 8;
/** A control frame lies in memory as a whole. Those of the clients known are below one kilobyte. */
export const MAX_CONTROL_BYTES = 64 * 1024;

/** The peer broke the protocol: nothing that follows on its connection can be understood. */
export class SpdyError extends Error {
  override readonly name = "SpdyError";
}

export interface ControlFrame {
  readonly kind: "control";
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** A piece of a data frame: large frames come in several. */
export interface DataPiece {
  readonly kind: "data";
  readonly streamId: number;
  readonly bytes: Buffer;
  /** With the last piece of a frame whose sender is finished with the stream. */
  readonly fin: boolean;
}

interface ControlHeader {
  readonly type: number;
  readonly flags: number;
  readonly length: number;
}

interface DataHeader {
  readonly streamId: number;
  readonly fin: boolean;
  left: number;
}

/** Takes chunks in, gives frames out. What it keeps is below MAX_CONTROL_BYTES and what was last pushed. */
export class FrameParser {
  readonly #received = new ByteQueue();
  #control: ControlHeader | null = null;
  #data: DataHeader | null = null;

  get buffered(): number {
    return this.#received.length;
  }

  push(chunk: Buffer): void {
    this.#received.push(chunk);
  }

  /** The next frame or piece of one, or null until more is pushed. Throws SpdyError. */
  next(): ControlFrame | DataPiece | null {
    if (this.#control === null && this.#data === null && !this.#readHeader()) return null;
    return this.#control === null ? this.#nextPiece() : this.#nextControl();
  }

  #readHeader(): boolean {
    if (this.#received.length < HEADER_BYTES) return false;
    const header = this.#received.take(HEADER_BYTES);
    const first = header.readUInt32BE(0);
    const flags = header.readUInt8(4);
    const length = header.readUIntBE(5, 3);
    if (first >>> 31 === 0) {
      if (first === 0) throw new SpdyError("a data frame for stream 0");
      this.#data = { streamId: first, fin: (flags & FLAG_FIN) !== 0, left: length };
      return true;
    }
    const version = (first >>> 16) & 0x7fff;
    const type = first & 0xffff;
    if (version !== VERSION) throw new SpdyError(`a frame of version ${version}, not ${VERSION}`);
    if (length > MAX_CONTROL_BYTES) {
      throw new SpdyError(
        `a control frame of type ${type} with ${length} bytes: at most ${MAX_CONTROL_BYTES} work`,
      );
    }
    this.#control = { type, flags, length };
    return true;
  }

  #nextControl(): ControlFrame | null {
    const control = this.#control as ControlHeader;
    if (this.#received.length < control.length) return null;
    this.#control = null;
    const payload = this.#received.take(control.length);
    return { kind: "control", type: control.type, flags: control.flags, payload };
  }

  #nextPiece(): DataPiece | null {
    const data = this.#data as DataHeader;
    if (data.left > 0 && this.#received.length === 0) return null;
    const bytes = this.#received.takePiece(data.left);
    data.left -= bytes.length;
    const isLast = data.left === 0;
    if (isLast) this.#data = null;
    return { kind: "data", streamId: data.streamId, bytes, fin: isLast && data.fin };
  }
}

function control(type: number, flags: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt16BE(0x8000 | VERSION, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt8(flags, 4);
  frame.writeUIntBE(payload.length, 5, 3);
  payload.copy(frame, HEADER_BYTES);
  return frame;
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4);
  return bytes;
}

/** The header of a data frame; `length` bytes follow, at most 2^24 - 1. */
export function dataHeader(streamId: number, length: number, flags = 0): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt8(flags, 4);
  header.writeUIntBE(length, 5, 3);
  return header;
}

export function synReply(streamId: number, headerBlock: Buffer): Buffer {
  return control(FRAME.SYN_REPLY, 0, Buffer.concat([words(streamId), headerBlock]));
}

export function rstStream(streamId: number, status: number): Buffer {
  return control(FRAME.RST_STREAM, 0, words(streamId, status));
}

export function ping(id: number): Buffer {
  return control(FRAME.PING, 0, words(id));
}

export function goAway(lastStreamId: number, status: number): Buffer {
  return control(FRAME.GOAWAY, 0, words(lastStreamId, status));
}

/** Stream 0 is the session's own window. */
export function windowUpdate(streamId: number, bytes: number): Buffer {
  return control(FRAME.WINDOW_UPDATE, 0, words(streamId, bytes));
}

/** The 32-bit word at `offset`. Throws SpdyError where the frame is too short. */
export function wordAt(frame: ControlFrame, offset: number): number {
  if (offset + 4 > frame.payload.length) {
    throw new SpdyError(`a frame of type ${frame.type} with only ${frame.payload.length} bytes`);
  }
  return frame.payload.readUInt32BE(offset);
}
