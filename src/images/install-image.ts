// The way of an image into the store, whatever its source: manifest, config, layers, one commit.

import { nowMicros } from "../lib/clock.ts";
import type { Steps } from "../lib/undo.ts";
import { durably } from "../store/durable.ts";
import { type ImageRef, putRefs } from "../store/image-refs.ts";
import { imageIdOfManifest, putImage } from "../store/images.ts";
import type { ImageId } from "../types/ids.ts";
import type { Layer } from "../types/image.ts";
import type { RootManifest } from "./content-source.ts";
import { releaseLayers } from "./delete-layers.ts";
import type { LayerJob } from "./fetch-layer.ts";
import { recordImage } from "./image-record.ts";
import { obtainLayers } from "./obtain-layers.ts";
import { type ImagePlan, readImage, readPlatformManifest } from "./read-image.ts";

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
  const held = plan.layers.map(({ diffId }) => diffId);
  for (const diffId of held) deps.desk.hold(diffId);
  try {
    const layers = await steps.run("unpack-layers", () => obtainLayers(job, plan.layers));
    await steps.run("commit", () => commit(job, plan, layers, refs));
    return await announce(job, steps, plan.id);
  } finally {
    await releaseLayers(deps, call.log, held);
  }
}

function commit(job: LayerJob, plan: ImagePlan, layers: readonly Layer[], refs: readonly ImageRef[]): void {
  const { deps } = job;
  job.call.signal.throwIfAborted();
  durably(deps.store, () => {
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
      manifest: plan.manifest,
      manifestType: plan.manifestType,
      layers,
      refs,
    });
  });
  for (const { diffId } of layers) deps.desk.forgetUncommitted(diffId);
}

async function announce(job: LayerJob, steps: Steps, id: ImageId): Promise<ImageId> {
  await steps.run("record", () => recordImage(job.deps, job.call.log, id));
  job.deps.events({ type: "image-pulled", imageId: id, at: nowMicros() });
  job.call.log.info({ image: job.what, id }, "image present");
  return id;
}
