// A layer kernel without system calls: it really inflates, hashes and keeps the tar it was given.

import { createHash } from "node:crypto";
import { appendFile, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import type {
  FramedFile,
  LayerForm,
  LayerKernel,
  LayerUnpack,
  UnpackFiles,
} from "../../../../src/kernel/kernel.ts";
import { BerthError, KernelError } from "../../../../src/lib/errors.ts";
import type { Digest } from "../../../../src/types/ids.ts";

export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export interface FakeLayers extends LayerKernel {
  unpacks: number;
  /** An image cannot hold the layer whose tar this takes. */
  overflows: (tar: Buffer) => boolean;
  /** Called before each finish, for tests that hold it up or make it fail. */
  beforeFinish: () => Promise<void>;
}

export function fakeLayers(): FakeLayers {
  const fake: FakeLayers = {
    unpacks: 0,
    overflows: () => false,
    beforeFinish: async () => {},
    unpackLayer(path, _limits, files = {}, file, form = "directory") {
      fake.unpacks++;
      return new FakeUnpack({ path, form }, files, fake, file);
    },
    async readLayerRecord(path) {
      return JSON.parse(await readFile(path, "utf8"));
    },
    async checkLayer(directory, record) {
      return await compare(fake, directory, record);
    },
    async verifyLayer(directory, record) {
      return await compare(fake, directory, record);
    },
    async *recreateLayer(tree) {
      yield await readFile(await contentOf(tree));
    },
    async makeSnapshot() {},
    async removeTree(path) {
      await rm(path, { recursive: true, force: true });
    },
    async readBeneath(layers, path, maxBytes) {
      for (const layer of layers) {
        const tree = await contentOf(layer);
        const bytes = await readFile(tree === layer ? layer : join(layer, path)).catch(() => null);
        if (bytes !== null) return bytes.subarray(0, maxBytes);
      }
      return null;
    },
    async treeUsage(path) {
      const facts = await stat(path);
      if (facts.isFile()) return { bytes: facts.size, inodes: 1 };
      const names = await readdir(path);
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(path, name))).size));
      return { bytes: sizes.reduce((sum, size) => sum + size, 0), inodes: names.length };
    },
    treeTar: async function* () {},
    async syncFilesystem() {},
    async mountLayer(path) {
      throw new KernelError("mount layer", "ENOSYS", path);
    },
    async probeErofs() {
      return "";
    },
    async requireDiskRoom() {},
    async relabel() {},
  };
  return fake;
}

/** The tar that a layer keeps: in its directory, or as its image. */
async function contentOf(tree: string): Promise<string> {
  const isImage = await stat(tree).then((facts) => facts.isFile());
  return isImage ? tree : join(tree, "content.tar");
}

/** Damaged when the tar that is kept is not the one of the record. */
async function compare(fake: FakeLayers, tree: string, record: string) {
  const expected = await fake.readLayerRecord(record);
  const tar = await readFile(await contentOf(tree)).catch(() => Buffer.alloc(0));
  const diffId = sha256(tar);
  const damaged = diffId === expected.diffId ? [] : [{ path: "content.tar", what: "is damaged" }];
  return { ...expected, diffId, damaged };
}

class FakeUnpack implements LayerUnpack {
  readonly #tree: { readonly path: string; readonly form: LayerForm };
  readonly #files: UnpackFiles;
  readonly #fake: FakeLayers;
  readonly #file: FramedFile | undefined;
  readonly #chunks: Buffer[] = [];
  readonly #aborted = Promise.withResolvers<never>();

  constructor(
    tree: { readonly path: string; readonly form: LayerForm },
    files: UnpackFiles,
    fake: FakeLayers,
    file: FramedFile | undefined,
  ) {
    this.#file = file;
    this.#tree = tree;
    this.#files = files;
    this.#fake = fake;
    this.#aborted.promise.catch(() => {});
  }

  async resumeAt(): Promise<number> {
    const { blobFile } = this.#files;
    if (blobFile === undefined) return 0;
    const held = await readFile(blobFile).catch(() => Buffer.alloc(0));
    this.#chunks.push(held);
    return held.length;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(Buffer.from(chunk));
    if (this.#files.blobFile !== undefined) await appendFile(this.#files.blobFile, chunk, { mode: 0o600 });
  }

  async finish() {
    await Promise.race([this.#fake.beforeFinish(), this.#aborted.promise]);
    const blob = Buffer.concat(this.#chunks);
    let tar = blob;
    try {
      if (this.#file !== undefined) tar = Buffer.concat([Buffer.from(JSON.stringify(this.#file)), blob]);
      else if (blob[0] === 0x1f) tar = gunzipSync(blob);
      else if (blob[0] === 0x28) tar = zstdDecompressSync(blob);
    } catch {
      throw new BerthError("INVALID_ARGUMENT", "layer is damaged or not acceptable: gzip");
    }
    const { path, form } = this.#tree;
    if (form === "erofs") {
      await writeFile(path, tar, { flag: "wx", mode: 0o600 });
      if (this.#fake.overflows(tar)) throw new KernelError("write image", "EOVERFLOW", path);
    } else {
      await writeFile(join(path, "content.tar"), tar);
    }
    const record = {
      blobDigest: sha256(blob),
      diffId: sha256(tar),
      blobBytes: blob.length,
      unpackedBytes: tar.length,
      entries: 1,
      lost: "",
    };
    if (this.#files.recordFile !== undefined) {
      await writeFile(this.#files.recordFile, JSON.stringify(record), { flag: "wx" });
    }
    return record;
  }

  async abort(): Promise<void> {
    this.#aborted.reject(new KernelError("unpack", "ECANCELED", this.#tree.path));
  }
}
