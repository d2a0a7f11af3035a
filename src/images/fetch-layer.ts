// One layer: from its source through the unpacker into its place.

import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LayerUnpack, UnpackResult } from "../kernel/kernel.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError, messageOf, wrapError } from "../lib/errors.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { findLayer, reserveLayerNumber } from "../store/layers.ts";
import type { Layer } from "../types/image.ts";
import type { ContentSource } from "./content-source.ts";
import { removeLayer } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";
import type { PullProgress } from "./progress.ts";
import type { LayerSource } from "./read-image.ts";

/** What the layers of one image have in common. */
export interface LayerJob {
  readonly deps: ImageDeps;
  /** Its signal is the job's. */
  readonly call: Call;
  readonly source: ContentSource;
  /** Names the image in errors: `image "docker.io/library/busybox:latest"`. */
  readonly what: string;
  readonly tell: (progress: PullProgress) => void;
}

/**
 * Fetches, checks, unpacks and syncs a layer, and moves it to its place. It has no row yet: the desk knows
 * it until a pull commits or everyone lets go of it. When this throws nothing is left on disk.
 */
export async function fetchLayer(job: LayerJob, source: LayerSource, signal: AbortSignal): Promise<Layer> {
  const { deps, call } = job;
  const staged = join(deps.paths.staging, `layer-${randomBytes(12).toString("hex")}`);
  const stagedRecord = `${staged}.record`;
  let current = [staged, stagedRecord];
  try {
    await makeDirectory(staged);
    const result = await unpackInto(job, source, staged, stagedRecord, signal);
    checkResult(job, source, result);
    signal.throwIfAborted();
    await call.observeStep("pullImage", "place-layer", "before");
    const number = reserveLayerNumber(deps.store);
    const [place, record] = [deps.paths.layer(number), deps.paths.layerRecord(number)];
    current = [...current, place, record];
    await moveDurably(stagedRecord, record);
    await moveDurably(staged, place);
    await call.observeStep("pullImage", "place-layer", "after");
    const layer = layerOf(number, source, result);
    // Somebody whose pull had been given up may have been as quick: one directory per diff ID.
    const other = findLayer(deps.store, layer.diffId) ?? deps.desk.uncommitted(layer.diffId);
    if (other === undefined) deps.desk.addUncommitted(layer);
    else await removeLayer(deps, number);
    return other ?? layer;
  } catch (error) {
    for (const path of current) await removeQuietly(job, path);
    throw error;
  }
}

async function unpackInto(
  job: LayerJob,
  { descriptor }: LayerSource,
  directory: string,
  recordFile: string,
  signal: AbortSignal,
): Promise<UnpackResult> {
  const { maxLayerUnpackedBytes, maxLayerEntries } = job.deps.config.images;
  const limits = { maxUnpackedBytes: maxLayerUnpackedBytes, maxEntries: maxLayerEntries };
  const unpack = job.deps.kernel.unpackLayer(directory, limits, { recordFile });
  const stop = () => void abortUnpack(job, unpack);
  signal.addEventListener("abort", stop, { once: true });
  try {
    // The unpacker computes sha256; the other algorithm of the specification is rare enough for this thread.
    const sha512 = descriptor.digest.startsWith("sha512:") ? createHash("sha512") : undefined;
    const report = progressOf(job, descriptor.digest, descriptor.size);
    for await (const chunk of job.source.blob(descriptor, signal)) {
      sha512?.update(chunk);
      await unpack.write(chunk);
      report(chunk.byteLength);
    }
    job.tell({ layer: descriptor.digest, phase: "unpack", bytes: descriptor.size, total: descriptor.size });
    const result = await unpack.finish();
    return sha512 === undefined ? result : { ...result, blobDigest: `sha512:${sha512.digest("hex")}` };
  } catch (error) {
    await abortUnpack(job, unpack);
    signal.throwIfAborted();
    if (error instanceof RegistryFailure) throw error;
    throw wrapError(`unpack layer "${descriptor.digest}" of ${job.what}`, error);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Tells of the download at its begin and then every half megabyte. */
function progressOf(job: LayerJob, layer: string, total: number): (bytes: number) => void {
  const step = 512 * 1024;
  let bytes = 0;
  let told = 0;
  job.tell({ layer, phase: "download", bytes, total });
  return (more) => {
    bytes += more;
    if (bytes - told < step) return;
    told = bytes;
    job.tell({ layer, phase: "download", bytes, total });
  };
}

function checkResult(job: LayerJob, { descriptor, diffId }: LayerSource, result: UnpackResult): void {
  const mismatch = (what: string, actual: string, expected: string) =>
    new BerthError(
      "DATA_LOSS",
      `unpack layer "${descriptor.digest}" of ${job.what}: its ${what} is "${actual}", not "${expected}"`,
    );
  if (result.blobDigest !== descriptor.digest) throw mismatch("digest", result.blobDigest, descriptor.digest);
  if (result.diffId !== diffId) throw mismatch("diff ID", result.diffId, diffId);
}

function layerOf(number: number, { descriptor, diffId }: LayerSource, result: UnpackResult): Layer {
  return {
    number,
    diffId,
    blobDigest: descriptor.digest,
    blobSize: result.blobBytes,
    unpackedBytes: result.unpackedBytes,
    entries: result.entries,
    createdAt: nowMicros(),
  };
}

/** A directory in staging, 0755 whatever the umask: a layer without an entry for "/" keeps it. */
async function makeDirectory(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await mkdir(path);
  await chmod(path, 0o755);
}

async function moveDurably(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rename(from, to);
  await syncDirectory(dirname(to));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function abortUnpack(job: LayerJob, unpack: LayerUnpack): Promise<void> {
  try {
    await unpack.abort();
  } catch (error) {
    job.call.log.error({ image: job.what, error: messageOf(error) }, "stop unpacking failed");
  }
}

/** Whatever stays is found by the sweep at the next start. */
async function removeQuietly(job: LayerJob, path: string): Promise<void> {
  try {
    await job.deps.kernel.removeTree(path);
  } catch (error) {
    job.call.log.error({ image: job.what, path, error: messageOf(error) }, "remove staged layer failed");
  }
}
