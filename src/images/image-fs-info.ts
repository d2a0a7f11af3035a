import { nowMicros } from "../lib/clock.ts";
import { layerUsage } from "../store/layers.ts";
import type { FilesystemUsage } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";

/**
 * What the layers take, from their rows. Writable snapshots share the file system, so that no separate
 * container file system is told of.
 */
export async function imageFsInfo(
  deps: Pick<ImageDeps, "store" | "paths">,
): Promise<{ image: FilesystemUsage[]; container: FilesystemUsage[] }> {
  const { bytes, entries } = layerUsage(deps.store);
  const usage = {
    mountpoint: deps.paths.snapshots,
    usedBytes: bytes,
    inodesUsed: entries,
    timestamp: nowMicros(),
  };
  return { image: [usage], container: [] };
}
