// Takes layers off the disk that nothing needs any more.

import type { Logger } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { durably } from "../store/durable.ts";
import { deleteLayer, findLayerRow, isLayerReferenced } from "../store/layers.ts";
import type { Layer } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";

/** Deletes those rows that neither an image nor a running pull needs; must run inside a transaction. */
export function dropUnneededRows(deps: ImageDeps, layers: readonly Layer[]): Layer[] {
  const unneeded = layers.filter(
    (layer) => !isLayerReferenced(deps.store, layer.number) && !deps.desk.isHeld(layer.diffId),
  );
  for (const layer of unneeded) deleteLayer(deps.store, layer.number);
  return unneeded;
}

/** Takes a layer and its record off the disk, and gives up its mount. Missing ones are fine. */
export async function removeLayer(deps: ImageDeps, number: number): Promise<void> {
  await deps.kernel.removeTree(deps.paths.layer(number));
  await deps.layerMounts.forget(number);
  await deps.kernel.removeTree(deps.paths.layerRecord(number));
}

/**
 * Removes layers whose rows are gone. A failure is logged, not thrown: the sweep at the next start finds
 * whatever has no row.
 */
export async function removeLayerTrees(
  deps: ImageDeps,
  log: Logger,
  layers: readonly Layer[],
): Promise<void> {
  for (const layer of layers) {
    const path = deps.paths.layer(layer.number);
    try {
      await removeLayer(deps, layer.number);
    } catch (error) {
      log.error({ layer: layer.diffId, path, error: messageOf(error) }, "remove layer failed");
    }
  }
}

/**
 * A pull lets go of its layers: those that no image names are deleted, unless they are kept for its next try
 * (sweepUnfinished removes them when it does not come).
 */
export async function releaseLayers(
  deps: ImageDeps,
  log: Logger,
  held: readonly string[],
  keep: boolean,
): Promise<void> {
  const free = held.filter((diffId) => deps.desk.release(diffId));
  if (keep) return;
  const rows = [...new Set(free)].flatMap((diffId) => findLayerRow(deps.store, diffId) ?? []);
  const orphans = rows.filter((layer) => !isLayerReferenced(deps.store, layer.number));
  const dropped = orphans.length === 0 ? [] : durably(deps.store, () => dropUnneededRows(deps, orphans));
  await removeLayerTrees(deps, log, dropped);
}
