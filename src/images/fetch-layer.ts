// One layer: from its source through the unpacker into its place.

import { randomBytes } from "node:crypto";
import { chmod, mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LayerForm, UnpackResult } from "../kernel/kernel.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { syncDirectory } from "../lib/durable-file.ts";
import { messageOf, wrapError } from "../lib/errors.ts";
import { findLayer, insertLayer, reserveLayerNumber } from "../store/layers.ts";
import type { Layer } from "../types/image.ts";
import type { ContentSource } from "./content-source.ts";
import { removeLayer } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";
import { keepBlob, wantsBlob } from "./keep-blobs.ts";
import type { LayerRecorder, PullRecorder } from "./pull-recorder.ts";
import type { LayerSource } from "./read-image.ts";
import { unpackBlob } from "./unpack-blob.ts";

/** What the layers of one image have in common. */
export interface LayerJob {
  readonly deps: ImageDeps;
  /** Its signal is the job's. */
  readonly call: Call;
  readonly source: ContentSource;
  /** Names the image in errors: `image "docker.io/library/busybox:latest"`. */
  readonly what: string;
  readonly recorder: PullRecorder;
}

/** A layer, as a directory or an image in a file, and its tar record: in staging, then in their places. */
export interface StagedLayer {
  readonly tree: string;
  readonly record: string;
}

/**
 * Fetches, checks, unpacks and syncs a layer, moves it to its place and records it: from then on it need not
 * be fetched again, whatever becomes of the pull. When this throws nothing of the layer is left but, of a
 * remote blob, what has come of it.
 */
export async function fetchLayer(job: LayerJob, source: LayerSource, signal: AbortSignal): Promise<Layer> {
  const record = job.recorder.layer(source);
  const tree = join(job.deps.paths.staging, `layer-${randomBytes(12).toString("hex")}`);
  const staged = { tree, record: `${tree}.record` };
  try {
    const { result, lease } = await unpackBlob(job, source, staged, signal, record);
    try {
      signal.throwIfAborted();
      const layer = await placeLayer(job, source, staged, result, signal, record);
      // Not before: whoever is killed in between need not fetch it again.
      if (lease !== null && wantsBlob(job.deps, source, result.lost)) {
        await keepBlob(job.deps, source.descriptor, lease.path);
      }
      await lease?.drop();
      return layer;
    } finally {
      lease?.release();
    }
  } catch (error) {
    await removeQuietly(job, staged.tree, staged.record);
    throw error;
  }
}

async function placeLayer(
  job: LayerJob,
  source: LayerSource,
  staged: StagedLayer,
  result: UnpackResult,
  signal: AbortSignal,
  record: LayerRecorder,
): Promise<Layer> {
  const { deps, call } = job;
  record.enter("sync");
  await call.observeStep("pullImage", "place-layer", "before");
  const number = reserveLayerNumber(deps.store);
  const place: StagedLayer = { tree: deps.paths.layer(number), record: deps.paths.layerRecord(number) };
  try {
    await moveDurably(staged.record, place.record);
    await moveDurably(staged.tree, place.tree);
    await call.observeStep("pullImage", "place-layer", "after");
    record.enter("commit");
    const layer = layerOf(number, source, result);
    // Somebody whose pull had been given up may have been as quick: one layer per diff ID.
    const other = findLayer(deps.store, layer.diffId);
    if (other === undefined) deps.store.transaction(() => insertLayer(deps.store, layer))();
    else await removeLayer(deps, number);
    await call.observeStep("pullImage", "record-layer", "after");
    return other ?? layer;
  } catch (error) {
    await removeQuietly(job, place.tree, place.record);
    signal.throwIfAborted();
    throw wrapError(`put layer "${source.descriptor.digest}" of ${job.what} into its place`, error);
  }
}

function layerOf(number: number, { descriptor, diffId, file }: LayerSource, result: UnpackResult): Layer {
  return {
    number,
    diffId,
    ...(file === undefined ? {} : { tarDigest: result.diffId }),
    blobDigest: descriptor.digest,
    blobSize: result.blobBytes,
    unpackedBytes: result.unpackedBytes,
    entries: result.entries,
    createdAt: nowMicros(),
  };
}

async function moveDurably(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rename(from, to);
  await syncDirectory(dirname(to));
}

/** Whatever stays is found by the sweep at the next start. */
async function removeQuietly(job: LayerJob, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    try {
      await job.deps.kernel.removeTree(path);
    } catch (error) {
      job.call.log.error({ image: job.what, path, error: messageOf(error) }, "remove staged layer failed");
    }
  }
}

/**
 * Room for a layer in staging: its directory, 0755 whatever the umask, because a layer without an entry for
 * "/" keeps it. An image is made by whoever writes it.
 */
export async function prepareTree(path: string, form: LayerForm): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  if (form === "erofs") return;
  await mkdir(path);
  await chmod(path, 0o755);
}
