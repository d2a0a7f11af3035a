// One layer on its way to a registry: found there, mounted there, or sent.

import { createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { wrapError } from "../lib/errors.ts";
import type { PushTarget } from "../registry/push-target.ts";
import { parseReference, type Reference } from "../registry/reference.ts";
import { layerBlobs, rememberLayerBlob } from "../store/blobs.ts";
import { refsOfImage } from "../store/image-refs.ts";
import { imagesOfLayer } from "../store/images.ts";
import { findLayerRow } from "../store/layers.ts";
import type { Digest } from "../types/ids.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import type { ImageDeps } from "./deps.ts";
import type { SavedLayer } from "./saved-layers.ts";

/**
 * Where one layer of a push is; `layer` is the digest by which the image's manifest calls it, "" for the
 * rest.
 */
export interface PushProgress {
  readonly layer: Digest;
  readonly phase: "check" | "compress" | "upload" | "present" | "mounted" | "done";
  /** Of what is being done; `total` is 0 when it is not known. */
  readonly bytes: number;
  readonly total: number;
}

export type PushListener = (progress: PushProgress) => void;

export interface PushJob {
  readonly deps: ImageDeps;
  readonly signal: AbortSignal;
  readonly target: PushTarget;
  readonly reference: Reference;
  /** For layers that have to be compressed. */
  readonly directory: string;
  readonly onProgress: PushListener;
}

/** More repositories than this are not asked for a layer. */
const maxMountSources = 4;
const tellBytes = 512 * 1024;

/** Returns the layer's descriptor as the registry has it: the original one whenever that is possible. */
export async function pushLayer(job: PushJob, layer: SavedLayer): Promise<Descriptor> {
  const { deps, target, onProgress } = job;
  const { original, diffId } = layer;
  const tell = (phase: PushProgress["phase"], bytes: number, total: number) =>
    onProgress({ layer: original.digest, phase, bytes, total });
  tell("check", 0, original.size);
  const known = [
    original,
    ...layerBlobs(deps.store, diffId).filter(({ digest }) => digest !== original.digest),
  ];
  for (const descriptor of known) {
    if (!(await target.hasBlob(descriptor))) continue;
    tell("present", original.size, original.size);
    return descriptor;
  }
  const others = repositoriesOf(job, layer);
  for (const descriptor of known) {
    for (const from of others) {
      if (!(await target.mountBlob(descriptor.digest, from))) continue;
      tell("mounted", original.size, original.size);
      return descriptor;
    }
  }
  if (layer.path !== undefined) {
    // A change on disk is to be found here, not by the registry.
    for await (const _ of layer.open()) job.signal.throwIfAborted();
    return await upload(job, original, layer.path, original, tell);
  }
  return await compressAndUpload(job, layer, tell);
}

type Tell = (phase: PushProgress["phase"], bytes: number, total: number) => void;

/** Other repositories of the registry from which images with this layer came. */
function repositoriesOf({ deps, reference }: PushJob, { diffId }: SavedLayer): string[] {
  const row = findLayerRow(deps.store, diffId);
  const images = row === undefined ? [] : imagesOfLayer(deps.store, row.number);
  const names = images
    .flatMap((id) => refsOfImage(deps.store, id))
    .filter(({ kind }) => kind === "digest")
    .map(({ ref }) => parseReference(ref))
    .filter(({ host, repository }) => host === reference.host && repository !== reference.repository)
    .map(({ repository }) => repository);
  return [...new Set(names)].slice(0, maxMountSources);
}

async function compressAndUpload(job: PushJob, layer: SavedLayer, tell: Tell): Promise<Descriptor> {
  const path = join(job.directory, randomBytes(12).toString("hex"));
  try {
    const made = await compress(job, layer, path, tell);
    const docker = layer.original.mediaType.startsWith(mediaTypes.dockerLayer);
    const mediaType = docker ? `${mediaTypes.dockerLayer}.gzip` : `${mediaTypes.ociLayer}+gzip`;
    // By chance, or because the image came from us, it is the very blob that the manifest names.
    const same = made.digest === layer.original.digest;
    const descriptor = same ? layer.original : { mediaType, ...made };
    if (await job.target.hasBlob(descriptor)) tell("present", made.size, made.size);
    else await upload(job, descriptor, path, layer.original, tell);
    rememberLayerBlob(job.deps.store, layer.diffId, descriptor);
    return descriptor;
  } finally {
    await rm(path, { force: true });
  }
}

/** The same bytes from the same layer each time. */
async function compress(
  job: PushJob,
  layer: SavedLayer,
  path: string,
  tell: Tell,
): Promise<{ digest: Digest; size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  let read = 0;
  const total = layer.descriptor.size;
  const counted = async function* (bytes: AsyncIterable<Uint8Array>) {
    let told = 0;
    for await (const chunk of bytes) {
      read += chunk.byteLength;
      if (read - told >= tellBytes) {
        told = read;
        tell("compress", read, total);
      }
      yield chunk;
    }
  };
  const hashed = async function* (bytes: AsyncIterable<Uint8Array>) {
    for await (const chunk of bytes) {
      hash.update(chunk);
      size += chunk.byteLength;
      yield chunk;
    }
  };
  tell("compress", 0, total);
  try {
    const input = Readable.from(counted(layer.open()));
    const gzip = createGzip({ chunkSize: 256 * 1024 });
    const output = createWriteStream(path, { flags: "wx", mode: 0o600 });
    await pipeline(input, gzip, hashed, output, { signal: job.signal });
  } catch (error) {
    job.signal.throwIfAborted();
    throw wrapError(`compress layer "${layer.diffId}"`, error);
  }
  return { digest: `sha256:${hash.digest("hex")}`, size };
}

async function upload(
  job: PushJob,
  descriptor: Descriptor,
  path: string,
  original: Descriptor,
  tell: Tell,
): Promise<Descriptor> {
  const { digest, size } = descriptor;
  tell("upload", 0, size);
  const open = (first: number, end: number) =>
    createReadStream(path, { start: first, end: end - 1, highWaterMark: 256 * 1024 });
  await job.target.uploadBlob({ ...original, digest, size }, { open }, (bytes) =>
    tell("upload", bytes, size),
  );
  tell("done", size, size);
  return descriptor;
}
