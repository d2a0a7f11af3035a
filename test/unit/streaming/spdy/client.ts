// The client's side of SPDY, as plain as can be: it sends exactly what a test says.

import type { Duplex } from "node:stream";
import { constants, createDeflate, type Deflate } from "node:zlib";
import { HEADER_DICTIONARY } from "../../../../src/streaming/spdy/dictionary.ts";
import { FrameParser } from "../../../../src/streaming/spdy/frames.ts";

export type Seen =
  | { readonly type: number; readonly flags: number; readonly payload: Buffer }
  | { readonly streamId: number; readonly bytes: Buffer; readonly fin: boolean };

/** A control frame whose payload is `words` and then `rest`. */
export function controlFrame(
  type: number,
  words: readonly number[],
  rest = Buffer.alloc(0),
  flags = 0,
): Buffer {
  const frame = Buffer.alloc(8 + words.length * 4);
  frame.writeUInt16BE(0x8003, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt8(flags, 4);
  frame.writeUIntBE(words.length * 4 + rest.length, 5, 3);
  for (const [index, word] of words.entries()) frame.writeUInt32BE(word, 8 + index * 4);
  return Buffer.concat([frame, rest]);
}

export function dataFrame(streamId: number, bytes: Buffer | string, fin = false): Buffer {
  const payload = Buffer.from(bytes);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(streamId, 0);
  frame.writeUInt8(fin ? 1 : 0, 4);
  frame.writeUIntBE(payload.length, 5, 3);
  return Buffer.concat([frame, payload]);
}

export class HeaderDeflater {
  readonly #deflate: Deflate = createDeflate({
    dictionary: HEADER_DICTIONARY,
    flush: constants.Z_SYNC_FLUSH,
  });

  /** The bytes of one block. */
  bytes(block: Buffer): Promise<Buffer> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      const take = (chunk: Buffer) => chunks.push(chunk);
      this.#deflate.on("data", take);
      this.#deflate.write(block);
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => {
        // Its last output is delivered behind the callback.
        setImmediate(() => {
          this.#deflate.off("data", take);
          resolve(Buffer.concat(chunks));
        });
      });
    });
  }

  block(headers: Readonly<Record<string, string>>): Promise<Buffer> {
    const word = (value: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    };
    const entries = Object.entries(headers);
    const text = (value: string) => Buffer.concat([word(value.length), Buffer.from(value)]);
    return this.bytes(
      Buffer.concat([word(entries.length), ...entries.flatMap(([name, value]) => [text(name), text(value)])]),
    );
  }
}

export class SpdyClient {
  readonly transport: Duplex;
  readonly seen: Seen[] = [];
  readonly closed: Promise<void>;
  readonly #parser = new FrameParser();
  readonly #deflater = new HeaderDeflater();
  #onSeen: () => void = () => {};

  constructor(transport: Duplex) {
    this.transport = transport;
    transport.on("data", (chunk: Buffer) => {
      this.#parser.push(chunk);
      for (let frame = this.#parser.next(); frame !== null; frame = this.#parser.next()) {
        this.seen.push(frame);
        this.#onSeen();
      }
    });
    transport.on("error", () => {});
    this.closed = new Promise((resolve) => {
      transport.once("end", resolve);
      transport.once("close", resolve);
    });
  }

  send(...frames: Buffer[]): void {
    this.transport.write(Buffer.concat(frames));
  }

  async open(id: number, headers: Readonly<Record<string, string>>, flags = 0): Promise<void> {
    const block = await this.#deflater.block(headers);
    const rest = Buffer.concat([Buffer.from([0, 0]), block]);
    this.send(controlFrame(1, [id, 0], rest, flags));
  }

  /** Waits for a frame that `wanted` likes. */
  async until<Found extends Seen>(wanted: (frame: Seen) => frame is Found): Promise<Found>;
  async until(wanted: (frame: Seen) => boolean): Promise<Seen>;
  async until(wanted: (frame: Seen) => boolean): Promise<Seen> {
    for (;;) {
      const found = this.seen.find(wanted);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#onSeen = resolve;
      });
    }
  }

  /** A control frame of `type` whose first word is `first`. */
  control(type: number, first: number): Promise<Seen> {
    return this.until(
      (frame) =>
        "type" in frame && frame.type === type && (frame.payload.readUInt32BE(0) & 0x7fffffff) === first,
    );
  }

  /** What came on a stream so far. */
  data(streamId: number): Buffer {
    return Buffer.concat(
      this.seen.map((frame) =>
        "streamId" in frame && frame.streamId === streamId ? frame.bytes : Buffer.alloc(0),
      ),
    );
  }

  hasEnded(streamId: number): boolean {
    return this.seen.some((frame) => "streamId" in frame && frame.streamId === streamId && frame.fin);
  }

  controls(type: number): Buffer[] {
    return this.seen.flatMap((frame) => ("type" in frame && frame.type === type ? [frame.payload] : []));
  }
}
