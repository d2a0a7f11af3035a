// Streams that may be compressed as a whole, told by their first bytes.

import { type Duplex, Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { BerthError, messageOf } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";

const chunkSize = 256 * 1024;
const kinds: readonly { name: string; magic: string; open?: () => Duplex }[] = [
  { name: "gzip", magic: "1f8b", open: () => createGunzip({ chunkSize }) },
  { name: "zstd", magic: "28b52ffd", open: () => createZstdDecompress({ chunkSize }) },
  { name: "xz", magic: "fd377a585a00" },
  { name: "bzip2", magic: "425a68" },
  { name: "lz4", magic: "04224d18" },
];
const longestMagic = 6;

/**
 * The bytes behind gzip or zstd, else the bytes. INVALID_ARGUMENT for other compressions and damaged data.
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let length = 0;
  try {
    while (length < longestMagic) {
      const next = await pieces.next();
      if (next.done === true) break;
      head.push(next.value);
      length += next.value.byteLength;
    }
    const begin = Buffer.concat(head.map((piece) => piece.subarray(0, longestMagic))).toString("hex");
    const kind = kinds.find(({ magic }) => begin.startsWith(magic));
    const whole = wholeOf(head, pieces);
    if (kind === undefined) yield* whole;
    else if (kind.open === undefined) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `read ${what}: it is compressed with ${kind.name}; expand it first`,
      );
    } else yield* expanded(whole, kind.open(), kind.name, what);
  } finally {
    await pieces.return?.();
  }
}

async function* wholeOf(
  head: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* head;
  for (;;) {
    const next = await rest.next();
    if (next.done === true) return;
    yield next.value;
  }
}

async function* expanded(
  bytes: AsyncIterable<Uint8Array>,
  through: Duplex,
  name: string,
  what: string,
): AsyncGenerator<Uint8Array> {
  const input = Readable.from(bytes);
  let failed: unknown;
  input.on("error", (error) => {
    failed = error;
    through.destroy(error);
  });
  try {
    for await (const chunk of input.pipe(through)) yield chunk as Uint8Array;
  } catch (error) {
    if (failed !== undefined) throw failed;
    throw new BerthError(
      "INVALID_ARGUMENT",
      `read ${what}: its ${name} data is damaged: ${printable(messageOf(error))}`,
    );
  } finally {
    input.destroy();
    through.destroy();
  }
}
