// The way of an image that comes from a file, not from a registry.

import type { Steps } from "../lib/undo.ts";
import type { ImageRef } from "../store/image-refs.ts";
import type { ImageId } from "../types/ids.ts";
import type { RootManifest } from "./content-source.ts";
import type { LayerJob } from "./fetch-layer.ts";
import { installImage } from "./install-image.ts";
import { PullRecorder } from "./pull-recorder.ts";

/** Installs an image that no registry may have: when it is new, it is never collected without being asked. */
export async function installLocal(
  job: Omit<LayerJob, "recorder">,
  steps: Steps,
  root: RootManifest,
  refs: readonly ImageRef[],
): Promise<ImageId> {
  const recorder = new PullRecorder(0, job.what, () => {});
  return await installImage({ ...job, recorder }, steps, root, refs);
}
