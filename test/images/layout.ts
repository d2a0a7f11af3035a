// Writes images of our own making: an OCI image layout directory and the same as a tar archive.
// Everything is reproducible (times are zero), so the digest of an image tells what is in it.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import type { Tree, TreeEntry } from "./tree.ts";

const cache = join(import.meta.dirname, "../../out/test-images");

export interface ImageRecipe {
  /** Folder name in the cache. */
  readonly name: string;
  /** What `berth load` names the image. */
  readonly reference: string;
  readonly layers: readonly Tree[];
  /** The "config" object of the OCI image configuration: Entrypoint, Cmd, Env, User, … */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface MadeImage {
  readonly reference: string;
  /** OCI image layout directory. */
  readonly layout: string;
  /** The layout as an uncompressed tar. */
  readonly archive: string;
  /** Digest of the manifest. */
  readonly digest: string;
  /** Digest of the configuration, which is the image ID. */
  readonly id: string;
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly data: Buffer;
}

const EPOCH = new Date(0);
const sha256 = (data: Buffer): string => `sha256:${createHash("sha256").update(data).digest("hex")}`;

function blob(mediaType: string, data: Buffer): Blob {
  return { mediaType, digest: sha256(data), size: data.length, data };
}

const jsonBlob = (mediaType: string, value: unknown): Blob =>
  blob(mediaType, Buffer.from(JSON.stringify(value)));
const descriptor = ({ mediaType, digest, size }: Blob) => ({ mediaType, digest, size });

type Packed = {
  name: string;
  mode: number;
  data?: Buffer;
  type: TreeEntry["type"];
  target?: string;
  ids: number[];
};

async function tarOf(items: readonly Packed[]): Promise<Buffer> {
  const stream = pack();
  for (const { name, mode, data, type, target, ids } of items) {
    const header = { name, mode, type, mtime: EPOCH, uid: ids[0] ?? 0, gid: ids[1] ?? 0 };
    if (data !== undefined) stream.entry(header, data);
    else stream.entry(target === undefined ? header : { ...header, linkname: target });
  }
  stream.finalize();
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function packEntry(entry: TreeEntry): Packed {
  const base = {
    name: entry.path,
    mode: entry.mode,
    type: entry.type,
    ids: [entry.uid ?? 0, entry.gid ?? 0],
  };
  if (entry.type === "file") return { ...base, data: entry.data };
  if (entry.type === "directory") return { ...base, name: `${entry.path}/` };
  return { ...base, target: entry.target };
}

/** What the image is made of, so that an unchanged recipe is not packed again. */
function fingerprint(recipe: ImageRecipe): string {
  const hash = createHash("sha256").update(readFileSync(import.meta.filename));
  hash.update(JSON.stringify([recipe.reference, recipe.config]));
  for (const layer of recipe.layers) {
    for (const entry of layer.entries) {
      const { data, ...facts } = entry.type === "file" ? entry : { ...entry, data: undefined };
      hash.update(JSON.stringify(facts)).update(data ?? "");
    }
  }
  return hash.digest("hex").slice(0, 16);
}

async function buildBlobs(recipe: ImageRecipe): Promise<{ manifest: Blob; config: Blob; blobs: Blob[] }> {
  const tars = await Promise.all(recipe.layers.map((layer) => tarOf(layer.entries.map(packEntry))));
  const layers = tars.map((tar) => blob("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar)));
  const config = jsonBlob("application/vnd.oci.image.config.v1+json", {
    created: EPOCH.toISOString(),
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: recipe.config,
    rootfs: { type: "layers", diff_ids: tars.map((tar) => sha256(tar)) },
    history: recipe.layers.map(() => ({ created: EPOCH.toISOString(), created_by: recipe.name })),
  });
  const manifest = jsonBlob("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor(config),
    layers: layers.map(descriptor),
  });
  return { manifest, config, blobs: [manifest, config, ...layers] };
}

async function write(recipe: ImageRecipe, folder: string): Promise<void> {
  const { manifest, config, blobs } = await buildBlobs(recipe);
  const annotations = { "org.opencontainers.image.ref.name": recipe.reference };
  const platform = { architecture: process.arch === "x64" ? "amd64" : process.arch, os: "linux" };
  const files = new Map<string, Buffer>([
    ["oci-layout", Buffer.from(JSON.stringify({ imageLayoutVersion: "1.0.0" }))],
    [
      "index.json",
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.index.v1+json",
          manifests: [{ ...descriptor(manifest), platform, annotations }],
        }),
      ),
    ],
    ...blobs.map(({ digest, data }): [string, Buffer] => [`blobs/${digest.replace(":", "/")}`, data]),
  ]);
  mkdirSync(join(folder, "layout/blobs/sha256"), { recursive: true });
  for (const [path, data] of files) writeFileSync(join(folder, "layout", path), data);
  const items: Packed[] = ["blobs/", "blobs/sha256/"].map((name) => ({
    name,
    mode: 0o755,
    type: "directory",
    ids: [],
  }));
  for (const [name, data] of files) items.push({ name, mode: 0o644, type: "file", data, ids: [] });
  writeFileSync(join(folder, "image.tar"), await tarOf(items));
  writeFileSync(join(folder, "made.json"), JSON.stringify({ digest: manifest.digest, id: config.digest }));
}

/** Makes the image, or finds it in out/test-images. Several processes may ask for the same one at once. */
export async function makeImage(recipe: ImageRecipe): Promise<MadeImage> {
  const folder = join(cache, `${recipe.name}-${fingerprint(recipe)}`);
  if (!existsSync(folder)) {
    const staging = `${folder}.${process.pid}`;
    rmSync(staging, { recursive: true, force: true });
    await write(recipe, staging);
    try {
      renameSync(staging, folder);
    } catch (error) {
      rmSync(staging, { recursive: true, force: true });
      // Somebody else was faster, with the same bytes.
      if (!existsSync(folder)) throw error;
    }
  }
  const made = JSON.parse(readFileSync(join(folder, "made.json"), "utf8")) as { digest: string; id: string };
  return {
    reference: recipe.reference,
    layout: join(folder, "layout"),
    archive: join(folder, "image.tar"),
    ...made,
  };
}
