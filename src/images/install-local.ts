// The way of an image that comes from a file, not from a registry.

import { nowMicros } from "../lib/clock.ts";
import type { Steps } from "../lib/undo.ts";
import { durably } from "../store/durable.ts";
import type { ImageRef } from "../store/image-refs.ts";
import { getImage, markLocal } from "../store/images.ts";
import type { ImageId } from "../types/ids.ts";
import type { RootManifest } from "./content-source.ts";
import type { LayerJob } from "./fetch-layer.ts";
import { recordImage } from "./image-record.ts";
import { installImage } from "./install-image.ts";
import { PullRecorder } from "./pull-recorder.ts";

/** Installs an image that no registry may have: when it is new, it is never collected without being asked. */
export async function installLocal(
  job: Omit<LayerJob, "recorder">,
  steps: Steps,
  root: RootManifest,
  refs: readonly ImageRef[],
): Promise<ImageId> {
  const { deps, call, what } = job;
  const began = nowMicros();
  const recorder = new PullRecorder(0, what, () => {});
  const id = await installImage({ ...job, recorder }, steps, root, refs);
  const image = getImage(deps.store, id);
  // One that a registry gave us first is not made local by a file.
  if (image === null || image.pulledAt < began) return id;
  durably(deps.store, () => markLocal(deps.store, id));
  await recordImage(deps, call.log, id);
  return id;
}
