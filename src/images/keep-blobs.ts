// Layers in the form in which they came, kept beside the unpacked ones: where the configuration wants
// them, and where a layer could not be made again without.

import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { nowMicros } from "../lib/clock.ts";
import { syncDirectory } from "../lib/durable-file.ts";
import { BerthError } from "../lib/errors.ts";
import { findBlob, insertBlob } from "../store/blobs.ts";
import type { Layer } from "../types/image.ts";
import type { Descriptor } from "../types/oci-image.ts";
import type { ImageDeps } from "./deps.ts";
import type { LayerJob } from "./fetch-layer.ts";
import type { LayerSource } from "./read-image.ts";

/**
 * Whether a layer's blob is to be kept; `lost` is what its record says (LayerRecord). That of an artifact's
 * file never: the file is the blob.
 */
export function wantsBlob(
  deps: Pick<ImageDeps, "config">,
  { file }: Pick<LayerSource, "file">,
  lost: string,
): boolean {
  return file === undefined && (deps.config.images.keepBlobs === true || lost !== "");
}

/** Moves a complete, checked blob to its place and records it. `path` is on the file system of the root. */
export async function keepBlob(deps: ImageDeps, { digest, size }: Descriptor, path: string): Promise<void> {
  if (findBlob(deps.store, digest) !== undefined) return;
  const place = deps.paths.blob(digest);
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await mkdir(dirname(place), { recursive: true, mode: 0o700 });
  await rename(path, place);
  await syncDirectory(dirname(place));
  insertBlob(deps.store, { digest, size, createdAt: nowMicros() });
}

/**
 * Fetches the blobs of an image that should be kept and are not there, whether its layers came now or
 * before.
 */
export async function keepMissingBlobs(
  job: LayerJob,
  sources: readonly LayerSource[],
  layers: readonly Layer[],
): Promise<void> {
  const { deps } = job;
  for (const [position, source] of sources.entries()) {
    const { descriptor } = source;
    const layer = layers[position];
    if (
      layer === undefined ||
      source.file !== undefined ||
      findBlob(deps.store, descriptor.digest) !== undefined
    )
      continue;
    const { lost } = await deps.kernel.readLayerRecord(deps.paths.layerRecord(layer.number));
    if (wantsBlob(deps, source, lost)) await fetchBlob(job, descriptor);
  }
}

async function fetchBlob(job: LayerJob, descriptor: Descriptor): Promise<void> {
  const { deps, call, source, what } = job;
  const path = join(deps.paths.staging, `blob-${randomBytes(12).toString("hex")}`);
  const [algorithm = ""] = descriptor.digest.split(":");
  const hash = createHash(algorithm);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(path, "wx", 0o600);
    try {
      const take = (chunk: Uint8Array) => {
        hash.update(chunk);
        return file.writeFile(chunk);
      };
      await source.pour(descriptor, take, call.signal);
    } finally {
      await file.close();
    }
    const actual = `${algorithm}:${hash.digest("hex")}`;
    if (actual !== descriptor.digest) {
      const { digest } = descriptor;
      throw new BerthError("DATA_LOSS", `keep layer "${digest}" of ${what}: its digest is "${actual}"`);
    }
    await keepBlob(deps, descriptor, path);
  } finally {
    await rm(path, { force: true });
  }
}
