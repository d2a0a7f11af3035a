import { mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Call } from "../lib/call.ts";
import { durably } from "../store/durable.ts";
import { deleteImage, imagesOfLayer } from "../store/images.ts";
import { deleteLayer, listLayers, unreferencedLayers } from "../store/layers.ts";
import type { ImageId } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";

export interface SweepReport {
  /** Directories removed: staged pieces, and layers without a row. */
  readonly removed: number;
  /** Images dropped because a layer's directory is missing. */
  readonly dropped: readonly ImageId[];
}

/**
 * Makes rows and directories agree at start-up, before the first pull: makes the directories of images (the
 * kubelet asks for the mount point before anything is pulled), empties staging, drops images that miss a
 * layer, forgets layers that no image names, and removes layer directories without a row.
 */
export async function sweepImages(deps: ImageDeps, call: Call): Promise<SweepReport> {
  let removed = 0;
  const remove = async (path: string) => {
    await deps.kernel.removeTree(path);
    removed++;
  };
  const { staging } = deps.paths;
  const layersDirectory = dirname(deps.paths.layer(0));
  for (const directory of [staging, layersDirectory])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(staging)) await remove(join(staging, name));
  const present = new Set(await readdir(layersDirectory));
  const dropped = durably(deps.store, () => {
    const incomplete = dropIncomplete(deps, call, present);
    for (const layer of unreferencedLayers(deps.store)) deleteLayer(deps.store, layer.number);
    return incomplete;
  });
  for (const layer of listLayers(deps.store)) present.delete(basename(deps.paths.layer(layer.number)));
  for (const name of present) {
    const path = join(layersDirectory, name);
    if (/^[0-9a-z]{1,11}$/.test(name)) await remove(path);
    else call.log.warn({ path }, "not a layer: left alone");
  }
  return { removed, dropped };
}

function dropIncomplete(deps: ImageDeps, call: Call, present: ReadonlySet<string>): ImageId[] {
  const dropped = new Set<ImageId>();
  for (const layer of listLayers(deps.store)) {
    const path = deps.paths.layer(layer.number);
    if (present.has(basename(path))) continue;
    for (const image of imagesOfLayer(deps.store, layer.number)) {
      call.log.error({ image, layer: layer.diffId, path }, "image dropped: a layer's directory is missing");
      deleteImage(deps.store, image);
      dropped.add(image);
    }
    deleteLayer(deps.store, layer.number);
  }
  return [...dropped];
}
