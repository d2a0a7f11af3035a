import { stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoOf } from "../lib/errors.ts";
import { namesIn } from "../lib/optional-file.ts";
import { blobUsage } from "../store/blobs.ts";
import { imageIds } from "../store/images.ts";
import { exclusiveBytes } from "../store/layers.ts";
import type { ImageDeps } from "./deps.ts";
import { measureLayers } from "./measure-layers.ts";
import { unusedImages } from "./unused-images.ts";

export interface DiskUsageEntry {
  readonly kind: string;
  readonly total: number;
  readonly active: number;
  readonly bytes: number;
  readonly reclaimableBytes: number;
}

export interface DiskUsage {
  readonly root: string;
  readonly entries: readonly DiskUsageEntry[];
  readonly bytes: number;
  readonly freeBytes: number;
  readonly capacityBytes: number;
}

/** What lies in the root directory, measured now: the entries add up to the whole. */
export async function diskUsage(deps: ImageDeps): Promise<DiskUsage> {
  const { paths } = deps;
  await measureLayers(deps);
  const entries: DiskUsageEntry[] = [];
  for (const { kind, where, ...figures } of await kindsOf(deps)) {
    let bytes = 0;
    for (const path of where) bytes += await bytesAt(deps, path);
    entries.push({ kind, bytes, ...figures });
  }
  const known = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  // Files grow while they are measured.
  const bytes = Math.max(known, await bytesAt(deps, paths.root));
  // The directories themselves, and what somebody else put here.
  entries.push({ kind: "other", total: 0, active: 0, bytes: bytes - known, reclaimableBytes: 0 });
  const { blocks, bavail, bsize } = await statfs(paths.root);
  return { root: paths.root, entries, bytes, freeBytes: bavail * bsize, capacityBytes: blocks * bsize };
}

type Kind = Omit<DiskUsageEntry, "bytes"> & { readonly where: readonly string[] };

async function kindsOf({ paths, store }: ImageDeps): Promise<Kind[]> {
  const unused = unusedImages(store).map(({ id }) => id);
  const images = imageIds(store).length;
  const blobs = blobUsage(store).count;
  const snapshots = dirname(paths.snapshot(0));
  const containers = (await namesIn(snapshots)).length;
  const files = (kind: string, ...where: string[]): Kind => ({
    kind,
    total: 0,
    active: 0,
    reclaimableBytes: 0,
    where,
  });
  return [
    {
      kind: "images",
      total: images,
      active: images - unused.length,
      reclaimableBytes: exclusiveBytes(store, unused),
      where: [dirname(paths.layer(0)), dirname(paths.layerRecord(0)), paths.imageRecords],
    },
    { ...files("blobs", paths.blobs), total: blobs, active: blobs },
    { ...files("containers", snapshots), total: containers, active: containers },
    files("logs", dirname(paths.podLogs("0"))),
    files("staging", paths.staging, paths.partials, join(paths.root, "reserve")),
    files("database", paths.database, `${paths.database}-wal`, `${paths.database}-shm`),
    { ...files("set aside", paths.lost), total: (await namesIn(paths.lost)).length },
  ];
}

/** Allocated bytes of a file, or of a directory and what is below it. Missing is nothing. */
async function bytesAt(deps: ImageDeps, path: string): Promise<number> {
  try {
    const facts = await stat(path);
    return facts.isDirectory() ? (await deps.kernel.treeUsage(path)).bytes : facts.blocks * 512;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return 0;
    throw error;
  }
}
