// A layer kernel without system calls: it really inflates, hashes and keeps the tar it was given.

import { createHash } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import type { LayerKernel, LayerUnpack } from "../../../../src/kernel/kernel.ts";
import { KernelError } from "../../../../src/lib/errors.ts";
import type { Digest } from "../../../../src/types/ids.ts";

export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export interface FakeLayers extends LayerKernel {
  unpacks: number;
  /** Called before each finish, for tests that hold it up or make it fail. */
  beforeFinish: () => Promise<void>;
}

export function fakeLayers(): FakeLayers {
  const fake: FakeLayers = {
    unpacks: 0,
    beforeFinish: async () => {},
    unpackLayer(directory) {
      fake.unpacks++;
      return new FakeUnpack(directory, fake);
    },
    async removeTree(path) {
      await rm(path, { recursive: true, force: true });
    },
    async readBeneath(layers, path, maxBytes) {
      for (const layer of layers) {
        const bytes = await readFile(join(layer, path)).catch(() => null);
        if (bytes !== null) return bytes.subarray(0, maxBytes);
      }
      return null;
    },
    async treeUsage(path) {
      const names = await readdir(path);
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(path, name))).size));
      return { bytes: sizes.reduce((sum, size) => sum + size, 0), inodes: names.length };
    },
    async syncFilesystem() {},
  };
  return fake;
}

class FakeUnpack implements LayerUnpack {
  readonly #directory: string;
  readonly #fake: FakeLayers;
  readonly #chunks: Buffer[] = [];
  readonly #aborted = Promise.withResolvers<never>();

  constructor(directory: string, fake: FakeLayers) {
    this.#directory = directory;
    this.#fake = fake;
    this.#aborted.promise.catch(() => {});
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(Buffer.from(chunk));
  }

  async finish() {
    await Promise.race([this.#fake.beforeFinish(), this.#aborted.promise]);
    const blob = Buffer.concat(this.#chunks);
    let tar = blob;
    try {
      if (blob[0] === 0x1f) tar = gunzipSync(blob);
      else if (blob[0] === 0x28) tar = zstdDecompressSync(blob);
    } catch {
      throw new KernelError("inflate", "EBADMSG", this.#directory);
    }
    await writeFile(join(this.#directory, "content.tar"), tar);
    return {
      blobDigest: sha256(blob),
      diffId: sha256(tar),
      blobBytes: blob.length,
      unpackedBytes: tar.length,
      entries: 1,
    };
  }

  async abort(): Promise<void> {
    this.#aborted.reject(new KernelError("unpack", "ECANCELED", this.#directory));
  }
}
