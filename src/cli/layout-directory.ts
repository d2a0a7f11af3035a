// OCI image layouts as directories: out of the daemon's tar, and into one.

import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Pack, pack } from "tar-stream";

/** Files of a layout; nothing else is written or read. */
const PART = /^(?:oci-layout|index\.json|manifest\.json|blobs\/[a-z0-9]+\/[0-9a-f]+)$/;

/** Writes the files of a layout in a tar below `directory`. */
export async function unpackLayout(tar: AsyncIterable<Uint8Array>, directory: string): Promise<void> {
  const entries = extract();
  const feeding = pipeline(Readable.from(tar), entries);
  // Its failure ends the loop too.
  feeding.catch(() => {});
  for await (const entry of entries) {
    const { name, type } = entry.header;
    if (type !== "file" || !PART.test(name)) {
      entry.resume();
      continue;
    }
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    await pipeline(entry, createWriteStream(path, { flags: "wx" }));
  }
  await feeding;
}

/** A layout directory as a tar. */
export async function* packLayout(directory: string): AsyncGenerator<Buffer> {
  const tar = pack();
  let failure: unknown;
  const feeding = feed(tar, directory).catch((error: unknown) => {
    failure = error;
    tar.destroy(error as Error);
  });
  try {
    for await (const chunk of tar) yield chunk as Buffer;
  } catch (error) {
    throw failure ?? error;
  } finally {
    tar.destroy();
    await feeding;
  }
}

async function feed(tar: Pack, directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true });
  for (const name of names.filter((each) => PART.test(each)).sort()) {
    const path = join(directory, name);
    const { size } = await stat(path);
    const entry = tar.entry({ name, size, mode: 0o644, mtime: new Date(0) });
    await pipeline(createReadStream(path, { highWaterMark: 256 * 1024 }), entry);
  }
  tar.finalize();
}
