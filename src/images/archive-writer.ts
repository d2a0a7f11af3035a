// A tar stream of parts whose sizes are known beforehand; nothing of it is kept in memory or on disk.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { BerthError } from "../lib/errors.ts";

export interface ArchivePart {
  readonly name: string;
  /** In bytes; what `open` gives is neither shorter nor longer. */
  readonly size: number;
  readonly open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** The parts as a tar. Rejects when one of them does, so that a broken archive never looks whole. */
export async function* tarOf(parts: readonly ArchivePart[]): AsyncGenerator<Uint8Array> {
  const tar = pack();
  let failure: unknown;
  const feeding = feed(tar, parts).catch((error: unknown) => {
    failure = error;
    tar.destroy(error as Error);
  });
  try {
    for await (const chunk of tar) yield chunk as Uint8Array;
  } catch (error) {
    throw failure ?? error;
  } finally {
    tar.destroy();
    await feeding;
  }
}

async function feed(tar: Pack, parts: readonly ArchivePart[]): Promise<void> {
  const folders = new Set<string>();
  for (const { name, size, open } of parts) {
    for (const { index } of [...name.matchAll(/\//g)]) {
      const folder = name.slice(0, index + 1);
      if (!folders.has(folder))
        tar.entry({ name: folder, type: "directory", mode: 0o755, mtime: new Date(0) });
      folders.add(folder);
    }
    const entry = tar.entry({ name, size, mode: 0o644, mtime: new Date(0) });
    await pipeline(Readable.from(sized(name, size, open())), entry);
  }
  tar.finalize();
}

async function* sized(
  name: string,
  size: number,
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const piece of bytes) {
    at += piece.byteLength;
    if (at > size) break;
    yield piece;
  }
  if (at !== size) {
    throw new BerthError(
      "DATA_LOSS",
      `write archive: "${name}" has not the ${size} bytes that were announced`,
    );
  }
}
