// Header blocks of SPDY/3.1 (section 2.6.10): a zlib stream per direction and connection, with a dictionary.
// They come from anybody: what they inflate to is bounded while it inflates.

import { constants, createInflate } from "node:zlib";
import { HEADER_DICTIONARY } from "./dictionary.ts";
import { SpdyError } from "./frames.ts";

/** What a block may inflate to. */
export const MAX_HEADER_BLOCK_BYTES = 16 * 1024;
const MAX_HEADERS = 64;

/** By lower-case name; of several values the first. */
export type Headers = ReadonlyMap<string, string>;

/** Inflates the blocks of one connection, in their order. */
export class HeaderInflater {
  readonly #inflate = createInflate({
    dictionary: HEADER_DICTIONARY,
    flush: constants.Z_SYNC_FLUSH,
    finishFlush: constants.Z_SYNC_FLUSH,
    chunkSize: 4096,
  });
  #output: Buffer[] = [];
  #bytes = 0;
  #reject: ((error: Error) => void) | undefined;

  constructor() {
    this.#inflate.on("readable", () => this.#drain());
    this.#inflate.on("error", (error) => this.#fail(new SpdyError(`a header block: ${error.message}`)));
  }

  /** One block at a time. Rejects with SpdyError; nothing can be inflated afterwards. */
  inflate(block: Buffer): Promise<Headers> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#inflate.write(block, (error) => {
        if (error !== null && error !== undefined) return;
        this.#drain();
        const output = Buffer.concat(this.#output, this.#bytes);
        this.#output = [];
        this.#bytes = 0;
        this.#reject = undefined;
        try {
          resolve(parseHeaders(output));
        } catch (problem) {
          reject(problem);
        }
      });
    });
  }

  /** Frees its memory. A block in hand is rejected. */
  close(): void {
    this.#fail(new SpdyError("the connection was closed"));
  }

  #drain(): void {
    for (let chunk = this.#inflate.read(); chunk !== null; chunk = this.#inflate.read()) {
      this.#bytes += (chunk as Buffer).length;
      if (this.#bytes > MAX_HEADER_BLOCK_BYTES) {
        this.#fail(
          new SpdyError(`a header block that inflates to more than ${MAX_HEADER_BLOCK_BYTES} bytes`),
        );
        return;
      }
      this.#output.push(chunk as Buffer);
    }
  }

  #fail(error: SpdyError): void {
    this.#output = [];
    this.#inflate.destroy();
    this.#reject?.(error);
    this.#reject = undefined;
  }
}

/** Throws SpdyError when the block does not hold what its lengths say. */
export function parseHeaders(block: Buffer): Headers {
  let at = 0;
  const word = (): number => {
    if (at + 4 > block.length) throw new SpdyError("a header block that ends too early");
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = word();
    if (length > block.length - at) throw new SpdyError("a header block that ends within a header");
    at += length;
    return block.toString("latin1", at - length, at);
  };
  const count = word();
  if (count > MAX_HEADERS) throw new SpdyError(`a header block with ${count} headers: ${MAX_HEADERS} work`);
  const headers = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const name = text().toLowerCase();
    const [value = ""] = text().split("\0");
    if (headers.has(name)) throw new SpdyError(`a header block with two headers "${name}"`);
    headers.set(name, value);
  }
  if (at !== block.length) throw new SpdyError("a header block with something behind its headers");
  return headers;
}

/** zlib's two bytes at the beginning of the stream: deflate, no dictionary. */
const ZLIB_START = Buffer.from([0x78, 0x01]);
/** The only header block that berth sends: no headers. */
const NO_HEADERS = Buffer.alloc(4);

/**
 * An empty header block, not compressed: a stored deflate block, and an empty one behind it, without which
 * inflaters wait for more. The first of a connection has zlib's own start before it.
 */
export function emptyHeaderBlock(isFirst: boolean): Buffer {
  const stored = (bytes: Buffer) => {
    const length = bytes.length;
    return Buffer.concat([
      Buffer.from([0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff]),
      bytes,
    ]);
  };
  const blocks = [stored(NO_HEADERS), stored(Buffer.alloc(0))];
  return Buffer.concat(isFirst ? [ZLIB_START, ...blocks] : blocks);
}
