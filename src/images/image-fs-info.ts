import { nowMicros } from "../lib/clock.ts";
import { blobUsage } from "../store/blobs.ts";
import { layerUsage } from "../store/layers.ts";
import type { FilesystemUsage } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";
import { measureLayers } from "./measure-layers.ts";

/**
 * What images take: blocks and inodes of the layers and their records, and kept blobs. Layers are measured
 * once, when they are new, so that the answer costs a query. Writable snapshots share the file system; the
 * container file system that is told of is therefore the same one, with what they take (CRI ImageFsInfo).
 */
export async function imageFsInfo(
  deps: Pick<ImageDeps, "store" | "paths" | "kernel" | "snapshotRoom">,
): Promise<{ image: FilesystemUsage[]; container: FilesystemUsage[] }> {
  await measureLayers(deps);
  const layers = layerUsage(deps.store);
  const blobs = blobUsage(deps.store);
  const mountpoint = deps.paths.snapshots;
  const image = {
    mountpoint,
    usedBytes: layers.bytes + blobs.bytes,
    inodesUsed: layers.inodes + blobs.count,
    timestamp: nowMicros(),
  };
  const { bytes, inodes, at } = await deps.snapshotRoom.get();
  return { image: [image], container: [{ mountpoint, usedBytes: bytes, inodesUsed: inodes, timestamp: at }] };
}
