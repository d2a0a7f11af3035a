import type { Dirent } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Call } from "../lib/call.ts";
import { deleteBlob, forgetLayerBlobs, listBlobs, unheldBlobs } from "../store/blobs.ts";
import { durably } from "../store/durable.ts";
import { setPins } from "../store/image-refs.ts";
import { deleteLayer, layerConditions, listLayers, setLayerDamage } from "../store/layers.ts";
import { abandonedLayers, forgetRetired, retiredLayers } from "../store/retired-layers.ts";
import type { Digest } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";
import { isUnusableForm, unusableForm } from "./layer-forms.ts";
import { unfinishedLayers } from "./sweep-unfinished.ts";

export interface SweepReport {
  /** Directories and files removed: staged pieces, and what has no row. */
  readonly removed: number;
  /** Diff IDs of layers that are not there: their images count as damaged until they are fetched again. */
  readonly missing: readonly Digest[];
}

/**
 * Makes rows and the disk agree at start-up, before the first pull: makes the directories of images (the
 * kubelet asks for the mount point before anything is pulled), empties staging, notes which layers are
 * missing or cannot be used on this host, forgets layers that no image names and no interrupted pull will
 * come back for, and removes what has no row.
 */
export async function sweepImages(deps: ImageDeps, call: Call): Promise<SweepReport> {
  const { paths, store } = deps;
  let removed = 0;
  const remove = async (path: string) => {
    await deps.kernel.removeTree(path);
    removed++;
  };
  const layersDirectory = dirname(paths.layer(0));
  const recordsDirectory = dirname(paths.layerRecord(0));
  const blobsDirectory = join(paths.blobs, "sha256");
  const directories = [paths.staging, layersDirectory, recordsDirectory, blobsDirectory, paths.imageRecords];
  for (const directory of directories) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  }
  setPins(store, deps.config.images.pinned ?? []);
  for (const name of await readdir(paths.staging)) await remove(join(paths.staging, name));
  const present = await readdir(layersDirectory, { withFileTypes: true });
  const missing = durably(store, () => {
    for (const layer of unfinishedLayers(deps)) deleteLayer(store, layer.number);
    for (const blob of unheldBlobs(store)) deleteBlob(store, blob.digest);
    forgetLayerBlobs(store);
    return noteUnusable(deps, call, present);
  });
  for (const number of abandonedLayers(store)) forgetRetired(store, number);
  const numbers = [...listLayers(store).map(({ number }) => number), ...retiredLayers(store)];
  const known = new Set(numbers.map((number) => basename(paths.layer(number))));
  for (const directory of [layersDirectory, recordsDirectory]) {
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      if (known.has(name)) continue;
      if (/^[0-9a-z]{1,11}$/.test(name)) await remove(path);
      else call.log.warn({ path }, "not a layer: left alone");
    }
  }
  removed += await sweepBlobs(deps, blobsDirectory);
  await deps.partials.sweep({ done: listLayers(store).map(({ blobDigest }) => blobDigest) });
  return { removed, missing };
}

/** Returns the diff IDs of layers that are missing. */
function noteUnusable(deps: ImageDeps, call: Call, present: readonly Dirent[]): Digest[] {
  const found = new Map(present.map((entry) => [entry.name, entry]));
  const unusable = unusableForm(deps.layerForms);
  const missing: Digest[] = [];
  for (const { number, diffId, damage } of layerConditions(deps.store)) {
    const path = deps.paths.layer(number);
    const entry = found.get(basename(path));
    if (entry === undefined) {
      if (damage === null) call.log.error({ layer: diffId, path }, "a layer is missing");
      setLayerDamage(deps.store, number, "it is missing on disk");
      missing.push(diffId);
    } else if (entry.isFile() && unusable !== "") {
      if (damage === null)
        call.log.error({ layer: diffId, path, damage: unusable }, "a layer cannot be used");
      setLayerDamage(deps.store, number, damage ?? unusable);
    } else if (damage !== null && isUnusableForm(damage)) {
      setLayerDamage(deps.store, number, null);
    }
  }
  return missing;
}

/** Rows and files of kept blobs. */
async function sweepBlobs(deps: ImageDeps, directory: string): Promise<number> {
  const files = new Set(await readdir(directory));
  for (const { digest } of listBlobs(deps.store)) {
    if (!files.delete(basename(deps.paths.blob(digest)))) deleteBlob(deps.store, digest);
  }
  for (const name of files) await deps.kernel.removeTree(join(directory, name));
  return files.size;
}
