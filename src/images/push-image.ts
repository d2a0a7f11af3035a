import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import { digestOf } from "../registry/digest.ts";
import { formatReference, nameOf, parseReference, type Reference } from "../registry/reference.ts";
import { durably } from "../store/durable.ts";
import { type ImageRef, putRefs } from "../store/image-refs.ts";
import { manifestOfImage } from "../store/images.ts";
import type { Digest } from "../types/ids.ts";
import type { Image, RegistryAuth } from "../types/image.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import { removeSpool } from "./archive-files.ts";
import { releaseLayers } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";
import { recordImage } from "./image-record.ts";
import { type PushJob, type PushListener, pushLayer } from "./push-layer.ts";
import { resolveImage } from "./resolve-image.ts";
import { type SavedImage, savedImage } from "./saved-layers.ts";

export interface Pushed {
  readonly reference: string;
  /** Of the manifest as it is in the registry now. */
  readonly digest: Digest;
  readonly size: number;
  /**
   * Layers that had to be compressed anew: the manifest then has another digest than the one that was pulled.
   * The image id is the same.
   */
  readonly recompressed: readonly Digest[];
}

const parallelUploads = 3;

/**
 * Pushes an image to where its name says, or to `target`. What the registry has is not sent: blobs are looked
 * for, and mounted from other repositories of the same registry. A layer whose compressed form was not
 * kept is made again as it was and compressed with gzip. Errors: NOT_FOUND, INVALID_ARGUMENT,
 * FAILED_PRECONDITION (damaged), PERMISSION_DENIED, UNAVAILABLE, RESOURCE_EXHAUSTED (room for the layers
 * that are compressed).
 */
export async function pushImage(
  deps: ImageDeps,
  call: Call,
  request: { image: string; target?: string | undefined; auth?: RegistryAuth | undefined },
  onProgress: PushListener = () => {},
): Promise<Pushed> {
  const doing = `push image "${request.image}"`;
  const reference = parseReference(request.target ?? request.image);
  if (reference.digest !== undefined || /^(?:sha256:)?[0-9a-f]{64}$/.test(request.target ?? request.image)) {
    throw new BerthError("INVALID_ARGUMENT", `${doing}: it must be pushed to a name with a tag`);
  }
  throwIfAborted(call, doing);
  const image = resolveImage(deps.store, request.image);
  if (image === null) throw new BerthError("NOT_FOUND", `${doing}: there is no such image`);
  const manifest = manifestOfImage(deps.store, image.id);
  if (manifest === null) throw new BerthError("NOT_FOUND", `${doing}: there is no such image`);
  const saved = await savedImage(deps, image, manifest, true, doing);
  const held = saved.layers.flatMap(({ diffId, original }) => [diffId, original.digest]);
  for (const digest of held) deps.desk.hold(digest);
  const directory = join(deps.paths.staging, `push-${randomBytes(12).toString("hex")}`);
  const stopping = new AbortController();
  const signal = AbortSignal.any([call.signal, stopping.signal]);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const target = await deps.registry.pushTarget({ reference, auth: request.auth, signal });
    const job = { deps, signal, target, reference, directory, onProgress, stop: stopping };
    return await withSteps("PushImage", call, async (steps) => {
      const layers = await steps.run("layers", () => pushLayers(job, saved));
      const pushed = await steps.run("manifest", () => pushManifest(job, saved, layers));
      steps.commit();
      await noteDigest(deps, call, image, reference, pushed.digest);
      call.log.info({ image: image.id, reference: pushed.reference, digest: pushed.digest }, "image pushed");
      return pushed;
    });
  } catch (error) {
    throwIfAborted(call, doing);
    throw error;
  } finally {
    await removeSpool(deps, call, directory);
    await releaseLayers(deps, call.log, held, false);
  }
}

/** The descriptors of the layers as the registry has them now, in order; a few at a time. */
async function pushLayers(
  job: PushJob & { readonly stop: AbortController },
  { layers }: SavedImage,
): Promise<Descriptor[]> {
  const once = new Map(layers.map((layer) => [layer.original.digest, layer]));
  const pushed = new Map<Digest, Descriptor>();
  const waiting = [...once].values();
  const work = async () => {
    try {
      for (const [digest, layer] of waiting) {
        job.signal.throwIfAborted();
        pushed.set(digest, await pushLayer(job, layer));
      }
    } catch (error) {
      job.stop.abort(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallelUploads, once.size) }, work));
  job.signal.throwIfAborted();
  return layers.map(({ original }) => pushed.get(original.digest) as Descriptor);
}

async function pushManifest(
  { target, reference, onProgress }: PushJob,
  saved: SavedImage,
  layers: readonly Descriptor[],
): Promise<Pushed> {
  const config = saved.configBytes;
  if (!(await target.hasBlob(saved.config))) {
    const { Readable } = await import("node:stream");
    await target.uploadBlob(saved.config, {
      open: (first, end) => Readable.from([config.subarray(first, end)]),
    });
  }
  const recompressed = saved.layers.filter(({ original }, n) => layers[n] !== original);
  const { bytes, mediaType } = recompressed.length === 0 ? saved.manifest : withLayers(saved, layers);
  const tag = reference.tag ?? "latest";
  const digest = await target.putManifest(tag, mediaType, bytes);
  onProgress({ layer: "", phase: "done", bytes: bytes.byteLength, total: bytes.byteLength });
  return {
    reference: formatReference(reference),
    digest,
    size: bytes.byteLength,
    recompressed: [...new Set(recompressed.map(({ diffId }) => diffId))],
  };
}

/** The image's manifest with other descriptors of its layers; all else that is in it stays. */
function withLayers({ manifest, layers: saved }: SavedImage, pushed: readonly Descriptor[]) {
  // In this order of members, so that the same layers make the same manifest.
  const layers = pushed.map(({ mediaType, digest, size }, n) =>
    pushed[n] === saved[n]?.original ? pushed[n] : { mediaType, digest, size },
  );
  const mediaType = manifest.mediaType === "" ? mediaTypes.ociManifest : manifest.mediaType;
  const document = JSON.parse(Buffer.from(manifest.bytes).toString("utf8")) as object;
  const bytes = Buffer.from(JSON.stringify({ ...document, mediaType, layers }));
  return { mediaType, bytes, digest: digestOf(bytes, "sha256:") };
}

/** The image is known by this digest too, when it has the name under which it was pushed. */
async function noteDigest(
  deps: ImageDeps,
  call: Call,
  image: Image,
  reference: Reference,
  digest: Digest,
): Promise<void> {
  const tag = formatReference(reference);
  const refs: ImageRef[] = [
    { ref: tag, kind: "tag" },
    { ref: `${nameOf(reference)}@${digest}`, kind: "digest" },
  ];
  const changed = durably(deps.store, () => {
    if (resolveImage(deps.store, image.id)?.repoTags.includes(tag) !== true) return false;
    putRefs(deps.store, image.id, refs);
    return true;
  });
  if (changed) await recordImage(deps, call.log, image.id);
}
