import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Call } from "../lib/call.ts";
import { errnoOf } from "../lib/errors.ts";
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
 * Makes rows and directories agree at start-up, before the first pull: empties staging, drops images that
 * miss a layer, forgets layers that no image names, and removes layer directories without a row.
 */
export async function sweepImages(deps: ImageDeps, call: Call): Promise<SweepReport> {
  let removed = 0;
  const remove = async (path: string) => {
    await deps.kernel.removeTree(path);
    removed++;
  };
  for (const name of await namesIn(deps.paths.staging)) await remove(join(deps.paths.staging, name));
  const layersDirectory = dirname(deps.paths.layer(0));
  const present = new Set(await namesIn(layersDirectory));
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

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
