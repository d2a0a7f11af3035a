// gRPC's frames on an HTTP/2 stream: one byte of flags, four of length, the message (gRPC over HTTP2,
// "Length-Prefixed-Message").

import { RpcError } from "./rpc-error.ts";

const HEADER = 5;
/** A longer message is refused before memory is set aside for it. */
export const MAX_MESSAGE = 64 * 1024 * 1024;

export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEADER + message.length);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, HEADER);
  return framed;
}

/** Cuts a stream of bytes into messages. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;

  /** Takes bytes; returns the messages that they complete. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const length = this.#nextLength();
      if (length === null || this.#size < HEADER + length) return messages;
      const all = this.#joined();
      messages.push(all.subarray(HEADER, HEADER + length));
      this.#chunks = [all.subarray(HEADER + length)];
      this.#size -= HEADER + length;
    }
  }

  /** Whether a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#size > 0;
  }

  #nextLength(): number | null {
    if (this.#size < HEADER) return null;
    let [first] = this.#chunks as [Buffer];
    if (first.length < HEADER) first = this.#joined();
    if (first[0] !== 0) throw new RpcError("INTERNAL", "the answer is compressed, which was not asked for");
    const length = first.readUInt32BE(1);
    if (length > MAX_MESSAGE)
      throw new RpcError("RESOURCE_EXHAUSTED", `a message of ${length} bytes is too long`);
    return length;
  }

  #joined(): Buffer {
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
