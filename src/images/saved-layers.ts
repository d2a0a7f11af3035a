// The layers of an image as blobs: in the form in which they came when that was kept, else as the very tar
// that they were, made again from what is on disk and its record. Of an artifact the files themselves.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { BerthError, errnoOf } from "../lib/errors.ts";
import { findBlob } from "../store/blobs.ts";
import { configOfImage } from "../store/images.ts";
import { findLayerRow, setLayerDamage } from "../store/layers.ts";
import type { Digest } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import { filesOfArtifact } from "./artifact-files.ts";
import type { ImageDeps } from "./deps.ts";
import type { LayerSource } from "./read-image.ts";
import { readDocument, readImageConfig } from "./read-manifest.ts";
import { refuseDamaged } from "./refuse-damaged.ts";

export interface SavedLayer {
  readonly diffId: Digest;
  /** What the image's own manifest says of the layer. */
  readonly original: Descriptor;
  /** What `open` gives. */
  readonly descriptor: Descriptor;
  /** The bytes, checked while they are read: what is not as it was rejects with DATA_LOSS at the end. */
  open(): AsyncIterable<Uint8Array>;
  /** A file that holds the blob as it came, unchecked. */
  readonly path?: string | undefined;
}

export interface SavedImage {
  readonly image: Image;
  readonly config: Descriptor;
  readonly configBytes: Uint8Array;
  readonly manifest: { readonly mediaType: string; readonly digest: Digest; readonly bytes: Uint8Array };
  /** The lowest first, as the manifest lists them: one that occurs twice is there twice. */
  readonly layers: readonly SavedLayer[];
}

/** Everything of an image. FAILED_PRECONDITION when a layer is damaged, or cannot be made again. */
export async function savedImage(
  deps: ImageDeps,
  image: Image,
  manifest: SavedImage["manifest"],
  /** Prefer kept blobs to plain tars. */
  compressed: boolean,
  doing: string,
): Promise<SavedImage> {
  refuseDamaged(deps.store, image, doing);
  const document = readDocument(manifest.bytes, manifest.mediaType, `manifest of image "${image.id}"`);
  if (document.kind !== "manifest") throw new BerthError("INTERNAL", `${doing}: its manifest is an index`);
  const configBytes = configOfImage(deps.store, image.id);
  if (configBytes === null) throw new BerthError("NOT_FOUND", `${doing}: it was removed`);
  const saved = { image, config: document.manifest.config, configBytes, manifest };
  if (image.artifact !== null) {
    const files = filesOfArtifact(document.manifest, `image "${image.id}"`);
    return { ...saved, layers: files.map((file) => savedFile(deps, file, doing)) };
  }
  const config = readImageConfig(Buffer.from(image.configJson), `config of image "${image.id}"`);
  const diffIds = config.rootfs.diff_ids ?? [];
  const layers: SavedLayer[] = [];
  for (const [position, diffId] of diffIds.entries()) {
    const original = document.manifest.layers[position];
    if (original === undefined) throw new BerthError("INTERNAL", `${doing}: its manifest lacks a layer`);
    layers.push(await savedLayer(deps, diffId, original, compressed, doing));
  }
  return { ...saved, layers };
}

/** Its layer holds nothing but directories and this file, and only the daemon writes there. */
function savedFile(deps: ImageDeps, { descriptor, diffId, file }: LayerSource, doing: string): SavedLayer {
  const layer = findLayerRow(deps.store, diffId);
  if (layer === undefined || file === undefined) {
    throw new BerthError("INTERNAL", `${doing}: blob "${descriptor.digest}" has no row`);
  }
  const path = join(deps.paths.layer(layer.number), file.name);
  const bytes = () => checkedFile(path, descriptor.digest, `read "${file.name}" of an artifact`);
  const open = () => markedWhenDamaged(deps, layer.number, bytes());
  return { diffId, original: descriptor, descriptor, open, path };
}

async function savedLayer(
  deps: ImageDeps,
  diffId: Digest,
  original: Descriptor,
  compressed: boolean,
  doing: string,
): Promise<SavedLayer> {
  const kept = findBlob(deps.store, original.digest) !== undefined;
  const path = deps.paths.blob(original.digest);
  const openKept = () => checkedFile(path, original.digest, `read kept blob "${original.digest}"`);
  if (kept && compressed) return { diffId, original, descriptor: original, open: openKept, path };
  const layer = findLayerRow(deps.store, diffId);
  if (layer === undefined) throw new BerthError("INTERNAL", `${doing}: layer "${diffId}" has no row`);
  const [tree, record] = [deps.paths.layer(layer.number), deps.paths.layerRecord(layer.number)];
  const { lost, unpackedBytes } = await deps.kernel.readLayerRecord(record);
  if (lost === "") {
    const descriptor = { mediaType: mediaTypes.ociLayer, digest: diffId, size: unpackedBytes };
    const open = () => markedWhenDamaged(deps, layer.number, deps.kernel.recreateLayer(tree, record));
    return { diffId, original, descriptor, open };
  }
  if (kept) return { diffId, original, descriptor: original, open: openKept, path };
  throw new BerthError(
    "FAILED_PRECONDITION",
    `${doing}: layer "${diffId}" holds "${lost}" twice, of which one is not on disk: its tar cannot ` +
      "be made again; set keep_blobs under [images], remove the image and pull it again",
  );
}

async function* checkedFile(path: string, digest: Digest, doing: string): AsyncGenerator<Uint8Array> {
  const [algorithm = ""] = digest.split(":");
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
      hash.update(chunk as Buffer);
      yield chunk as Buffer;
    }
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    throw new BerthError("DATA_LOSS", `${doing}: it is no longer on disk`, { cause: error });
  }
  const actual = `${algorithm}:${hash.digest("hex")}`;
  if (actual !== digest) {
    throw new BerthError(
      "DATA_LOSS",
      `${doing}: what is on disk has the digest "${actual}", not "${digest}"`,
    );
  }
}

async function* markedWhenDamaged(
  deps: ImageDeps,
  number: number,
  tar: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* tar;
  } catch (error) {
    if (error instanceof BerthError && error.code === "DATA_LOSS") {
      setLayerDamage(deps.store, number, error.message);
    }
    throw error;
  }
}
