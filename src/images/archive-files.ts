// The files of an image archive (a tar stream), spooled to disk under names of our own.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import type { LayerKernel } from "../kernel/kernel.ts";
import type { Call } from "../lib/call.ts";
import { BerthError, errnoOf, messageOf, wrapError } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";
import type { ImageLimits } from "../types/config.ts";
import type { Digest } from "../types/ids.ts";
import { decompressed } from "./decompressed.ts";
import type { ImageDeps } from "./deps.ts";

export interface ArchiveFile {
  readonly path: string;
  readonly size: number;
  /** sha256 of the content. */
  readonly digest: Digest;
}

const maxFiles = 10_000;
/** The disk is looked at once in so many bytes of a file. */
const roomBytes = 4 * 1024 * 1024;

export class ArchiveFiles {
  readonly #byName = new Map<string, ArchiveFile>();
  readonly #byDigest = new Map<Digest, ArchiveFile>();
  readonly #links = new Map<string, string>();

  /** Links are followed once, inside the archive. */
  named(name: string): ArchiveFile | undefined {
    const clean = posix.normalize(name);
    return this.#byName.get(clean) ?? this.#byName.get(this.#links.get(clean) ?? clean);
  }

  withDigest(digest: Digest): ArchiveFile | undefined {
    return this.#byDigest.get(digest) ?? this.#byName.get(`blobs/${digest.replace(":", "/")}`);
  }

  /** A small file as text; throws when it is longer than `maxBytes`. */
  async read(file: ArchiveFile, maxBytes: number, what: string): Promise<Uint8Array> {
    if (file.size <= maxBytes) return await readFile(file.path);
    throw new BerthError("DATA_LOSS", `read ${what}: it has ${file.size} bytes, the limit is ${maxBytes}`);
  }

  /** Its first bytes. */
  async head(file: ArchiveFile): Promise<Uint8Array> {
    const handle = await open(file.path, "r");
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  }

  stream(file: ArchiveFile): AsyncIterable<Uint8Array> {
    return createReadStream(file.path, { highWaterMark: 256 * 1024 });
  }

  add(name: string, file: ArchiveFile): void {
    this.#byName.set(posix.normalize(name), file);
    this.#byDigest.set(file.digest, file);
  }

  link(name: string, target: string): void {
    const clean = posix.normalize(name);
    this.#links.set(clean, posix.join(posix.dirname(clean), target));
  }
}

/**
 * Reads a whole tar stream into files below the existing `directory`. Names inside the archive only serve
 * to find the files again: none becomes a path.
 */
export async function spoolArchive(
  { kernel, config }: ImageDeps,
  source: AsyncIterable<Uint8Array>,
  directory: string,
  signal: AbortSignal,
): Promise<ArchiveFiles> {
  const limits = config.images;
  const files = new ArchiveFiles();
  const tar = extract();
  const feeding = pipeline(Readable.from(decompressed(source, "image archive")), tar, { signal });
  // Its failure ends the loop below too, which is where it is thrown.
  feeding.catch(() => {});
  let count = 0;
  try {
    for await (const entry of tar) {
      count++;
      if (count > maxFiles)
        throw new BerthError("RESOURCE_EXHAUSTED", `it has more than ${maxFiles} entries`);
      const { name, type, linkname } = entry.header;
      if (type === "file" || type === "contiguous-file") {
        checkSize(entry.header.size ?? 0, limits);
        const path = join(directory, String(count));
        files.add(
          name,
          await spoolFile(kernel, entry, path, { limit: limits.maxLayerUnpackedBytes, signal }),
        );
      } else {
        if ((type === "link" || type === "symlink") && linkname) files.link(name, linkname);
        entry.resume();
      }
    }
    await feeding;
  } catch (error) {
    signal.throwIfAborted();
    const known = error instanceof BerthError || errnoOf(error) !== undefined;
    if (known) throw wrapError("read image archive", error, codeOf(error));
    throw new BerthError("INVALID_ARGUMENT", `read image archive: ${printable(messageOf(error))}`);
  }
  return files;
}

function codeOf(error: unknown): BerthError["code"] {
  if (error instanceof BerthError) return error.code;
  return ["ENOSPC", "EDQUOT"].includes(errnoOf(error) ?? "") ? "RESOURCE_EXHAUSTED" : "INTERNAL";
}

function checkSize(size: number, limits: ImageLimits): void {
  if (size <= limits.maxLayerUnpackedBytes) return;
  const limit = limits.maxLayerUnpackedBytes;
  throw new BerthError("RESOURCE_EXHAUSTED", `a file in it has ${size} bytes, the limit is ${limit}`);
}

/** Writes a stream to a new file, at most `limit` bytes, and tells its digest. The file is not synced. */
export async function spoolFile(
  kernel: Pick<LayerKernel, "requireDiskRoom">,
  source: AsyncIterable<unknown>,
  path: string,
  { limit, signal }: { limit: number; signal: AbortSignal },
): Promise<ArchiveFile> {
  const hash = createHash("sha256");
  const file: FileHandle = await open(path, "wx", 0o600);
  let size = 0;
  let looked = Number.NEGATIVE_INFINITY;
  try {
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      signal.throwIfAborted();
      if (size - looked >= roomBytes) {
        await kernel.requireDiskRoom(dirname(path));
        looked = size;
      }
      size += chunk.byteLength;
      if (size > limit)
        throw new BerthError("RESOURCE_EXHAUSTED", `it has more than ${limit} bytes, the limit`);
      hash.update(chunk);
      await file.writeFile(chunk);
    }
  } finally {
    await file.close();
  }
  return { path, size, digest: `sha256:${hash.digest("hex")}` };
}

/** Removes a directory of spooled files. What stays is found by the sweep at the next start. */
export async function removeSpool(deps: ImageDeps, call: Call, directory: string): Promise<void> {
  try {
    await deps.kernel.removeTree(directory);
  } catch (error) {
    call.log.error({ path: directory, error: messageOf(error) }, "remove spooled archive failed");
  }
}
