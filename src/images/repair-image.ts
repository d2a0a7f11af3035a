import { createReadStream } from "node:fs";
import { pourAll } from "../lib/byte-sink.ts";
import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError, messageOf, wrapError } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import { digestOf } from "../registry/digest.ts";
import { nameOf, parseReference, type Reference } from "../registry/reference.ts";
import { findBlob } from "../store/blobs.ts";
import { configOfImage, listImageRows, manifestOfImage, type StoredManifest } from "../store/images.ts";
import { layersOfImage } from "../store/layers.ts";
import { retiredLayers, usersOfRetired } from "../store/retired-layers.ts";
import type { ContainerId, Digest, ImageId } from "../types/ids.ts";
import type { Image, RegistryAuth } from "../types/image.ts";
import type { ContentSource } from "./content-source.ts";
import type { ImageDeps } from "./deps.ts";
import { installImage } from "./install-image.ts";
import type { ProgressListener } from "./progress.ts";
import { PullRecorder } from "./pull-recorder.ts";
import { resolveImage } from "./resolve-image.ts";
import { sweepUnneeded } from "./sweep-unneeded.ts";

export interface Repaired {
  readonly imageId: ImageId;
  readonly name: string;
  /** Diff IDs of layers that were fetched anew. */
  readonly layers: readonly Digest[];
  /** "": repaired. Else why not. */
  readonly failure: string;
  /** Containers that go on with the damaged copy: they were made from it. Their new ones get the new copy. */
  readonly containers: readonly ContainerId[];
}

/**
 * Fetches the damaged layers of an image, or of all images, again: from the kept blob, else from where the
 * image came from, by digest. A layer is replaced when the new copy is complete and is what its digests say;
 * until then, and when that fails, everything stays as it is. What is not known to be damaged is left alone:
 * verifyImage finds out. Errors: NOT_FOUND. Failures of single images are in the result.
 */
export async function repairImage(
  deps: ImageDeps,
  call: Call,
  request: { reference?: string | undefined; auth?: RegistryAuth | undefined },
  onProgress: ProgressListener = () => {},
): Promise<Repaired[]> {
  const images =
    request.reference === undefined ? listImageRows(deps.store) : [find(deps, request.reference)];
  const results: Repaired[] = [];
  for (const image of images) {
    throwIfAborted(call, "repair images");
    const damaged = layersOfImage(deps.store, image.id).filter(({ damage }) => damage !== null);
    if (damaged.length === 0) continue;
    const retired = new Set(retiredLayers(deps.store));
    const name = image.repoTags[0] ?? image.repoDigests[0] ?? image.id;
    let failure = "";
    try {
      await repair(deps, call, image, name, request.auth, onProgress);
    } catch (error) {
      throwIfAborted(call, "repair images");
      failure = messageOf(error);
      call.log.error({ image: image.id, error: failure }, "repair image failed");
    }
    const left = new Set(
      layersOfImage(deps.store, image.id).flatMap((l) => (l.damage === null ? [] : l.diffId)),
    );
    const replaced = retiredLayers(deps.store).filter((number) => !retired.has(number));
    results.push({
      imageId: image.id,
      name,
      layers: damaged.map(({ diffId }) => diffId).filter((diffId) => !left.has(diffId)),
      failure,
      containers: [...new Set(replaced.flatMap((number) => usersOfRetired(deps.store, number)))],
    });
  }
  await sweepUnneeded(deps, call.log);
  return results;
}

function find(deps: ImageDeps, reference: string): Image {
  const image = resolveImage(deps.store, reference);
  if (image !== null) return image;
  throw new BerthError("NOT_FOUND", `repair image "${reference}": there is no such image`);
}

async function repair(
  deps: ImageDeps,
  call: Call,
  image: Image,
  name: string,
  auth: RegistryAuth | undefined,
  onProgress: ProgressListener,
): Promise<void> {
  const manifest = manifestOfImage(deps.store, image.id);
  if (manifest === null) throw new BerthError("NOT_FOUND", `repair image "${name}": it was removed`);
  const names = [...image.repoDigests, ...image.repoTags].map((ref) => nameOf(parseReference(ref)));
  const places = [...new Set(names)];
  const doing = `repair image "${name}"`;
  if (places.length === 0) {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `${doing}: it has no name that tells a registry; load it again`,
    );
  }
  let failure: unknown;
  for (const place of places) {
    const source = sourceOf(deps, image, manifest, parseReference(place), auth, call.signal);
    const recorder = new PullRecorder(0, name, onProgress);
    const job = { deps, call, source, what: `image "${name}"`, recorder };
    try {
      await withSteps("RepairImage", call, (steps) => installImage(job, steps, manifest, []));
      return;
    } catch (error) {
      call.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw wrapError(doing, failure);
}

/** The image's own documents are here; layers come from kept blobs, else from the registry. */
function sourceOf(
  deps: ImageDeps,
  image: Image,
  manifest: StoredManifest,
  place: Reference,
  auth: RegistryAuth | undefined,
  signal: AbortSignal,
): ContentSource {
  const config = configOfImage(deps.store, image.id) ?? Buffer.alloc(0);
  const request = { reference: { host: place.host, repository: place.repository }, auth, signal };
  return {
    manifest: async () => manifest.bytes,
    async pour(descriptor, sink, blobSignal, options) {
      const isConfig =
        descriptor.size === config.byteLength && digestOf(config, descriptor.digest) === descriptor.digest;
      if (isConfig) return await sink(config);
      if (findBlob(deps.store, descriptor.digest) !== undefined) {
        const from = { start: options?.first ?? 0, highWaterMark: 256 * 1024 };
        return await pourAll(createReadStream(deps.paths.blob(descriptor.digest), from), sink);
      }
      await deps.registry.pour({ ...request, signal: blobSignal }, descriptor, sink, options);
    },
    isRemote: true,
  };
}
