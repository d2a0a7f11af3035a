// The way of an image into the store, whatever its source: manifest, config, layers, one commit.

import { nowMicros } from "../lib/clock.ts";
import { BerthError, codeOf, messageOf, wrapError } from "../lib/errors.ts";
import type { Steps } from "../lib/undo.ts";
import { holdBlobs } from "../store/blobs.ts";
import { durably } from "../store/durable.ts";
import { type ImageRef, putRefs } from "../store/image-refs.ts";
import { getImage, imageIdOfManifest, putImage } from "../store/images.ts";
import type { ImageId } from "../types/ids.ts";
import type { Layer } from "../types/image.ts";
import type { RootManifest } from "./content-source.ts";
import { releaseLayers } from "./delete-layers.ts";
import type { LayerJob } from "./fetch-layer.ts";
import { recordImage } from "./image-record.ts";
import { keepMissingBlobs } from "./keep-blobs.ts";
import { obtainLayers } from "./obtain-layers.ts";
import { type ImagePlan, readImage, readPlatformManifest } from "./read-image.ts";
import { sweepUnfinished } from "./sweep-unfinished.ts";

/** Makes the image that `root` leads to present under `refs`, and returns its id. */
export async function installImage(
  job: LayerJob,
  steps: Steps,
  root: RootManifest,
  refs: readonly ImageRef[],
): Promise<ImageId> {
  const { deps, call, source, what } = job;
  const limits = deps.config.images;
  const found = await steps.run("fetch-manifest", () =>
    readPlatformManifest(source, root, limits, what, call.signal),
  );
  const present = durably(deps.store, () => {
    const id = imageIdOfManifest(deps.store, found.digest);
    if (id !== null) putRefs(deps.store, id, refs);
    return id;
  });
  if (present !== null) return await announce(job, steps, present);
  const plan = await steps.run("fetch-config", () => readImage(source, found, limits, what, call.signal));
  const held = plan.layers.flatMap(({ diffId, descriptor }) => [diffId, descriptor.digest]);
  for (const digest of held) deps.desk.hold(digest);
  let comesBack = false;
  try {
    job.recorder.enter("layers");
    const layers = await steps.run("unpack-layers", () => obtainLayers(job, plan.layers));
    await steps.run("keep-blobs", () => keepMissingBlobs(job, plan.layers, layers));
    job.recorder.enter("commit");
    await steps.run("commit", () => {
      try {
        commit(job, plan, layers, refs);
      } catch (error) {
        call.signal.throwIfAborted();
        throw wrapError(`record ${what} in the database`, error);
      }
    });
    return await announce(job, steps, plan.id);
  } catch (error) {
    comesBack = job.source.isRemote && mayComeBack(error, call.signal);
    if (!comesBack) await forgetUnfinished(job, plan, error);
    throw error;
  } finally {
    await releaseLayers(deps, call.log, held, comesBack);
  }
}

function commit(job: LayerJob, plan: ImagePlan, layers: readonly Layer[], refs: readonly ImageRef[]): void {
  const { deps } = job;
  job.call.signal.throwIfAborted();
  durably(deps.store, () => {
    refuseTwin(job, plan);
    putImage(deps.store, {
      image: {
        id: plan.id,
        size: plan.size,
        config: plan.config,
        configJson: plan.configJson,
        manifestDigest: plan.manifestDigest,
        architecture: plan.architecture,
        os: plan.os,
        pulledAt: nowMicros(),
      },
      artifact: plan.artifact,
      manifest: plan.manifest,
      manifestType: plan.manifestType,
      layers,
      refs,
      // In the same transaction: what a registry may not have must never count as if it had.
      local: !job.source.isRemote && getImage(deps.store, plan.id) === null,
    });
    holdBlobs(
      deps.store,
      plan.id,
      plan.layers.map(({ descriptor }) => descriptor.digest),
    );
  });
}

/** One text can be the config of an image and the manifest of an artifact: the two would have one id. */
function refuseTwin({ deps, what }: LayerJob, { id, artifact }: ImagePlan): void {
  const there = getImage(deps.store, id);
  if (there === null || (there.artifact === null) === (artifact === null)) return;
  throw new BerthError(
    "DATA_LOSS",
    `use ${what}: its ${artifact === null ? "config" : "manifest"} has the id "${id}", which is that of ` +
      `${artifact === null ? "an artifact" : "an image"} here; remove that first if you want this one`,
  );
}

/**
 * Whether the same pull may succeed later: the network failed, or the caller did not wait. What is complete
 * then stays for it. Anything else would fail again, or needs the room on the disk.
 */
function mayComeBack(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || (error instanceof BerthError && error.code === "UNAVAILABLE");
}

/** On a full disk those of all pulls go: they are but a cache. */
async function forgetUnfinished(job: LayerJob, plan: ImagePlan, error: unknown): Promise<void> {
  try {
    if (codeOf(error) === "RESOURCE_EXHAUSTED") await sweepUnfinished(job.deps, job.call, { all: true });
    for (const { descriptor } of plan.layers) await job.deps.partials.forget(descriptor.digest);
  } catch (failure) {
    job.call.log.error({ image: job.what, error: messageOf(failure) }, "remove what a pull left failed");
  }
}

async function announce(job: LayerJob, steps: Steps, id: ImageId): Promise<ImageId> {
  await steps.run("record", () => recordImage(job.deps, job.call.log, id));
  job.deps.events({ type: "image-pulled", imageId: id, at: nowMicros() });
  // A pull tells more when it is over.
  if (!job.source.isRemote) job.call.log.info({ image: job.what, id }, "image loaded");
  return id;
}
