import { type Call, throwIfAborted } from "../lib/call.ts";
import { isOld } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { getImage, type ImageUse } from "../store/images.ts";
import { exclusiveBytes } from "../store/layers.ts";
import type { ImageId } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";
import { measureLayers } from "./measure-layers.ts";
import { removeImage } from "./remove-image.ts";
import { sweepUnneeded } from "./sweep-unneeded.ts";
import { unusedImages } from "./unused-images.ts";

export interface PrunedImage {
  readonly id: ImageId;
  readonly references: readonly string[];
  readonly freedBytes: number;
}

export interface PruneReport {
  readonly images: readonly PrunedImage[];
  readonly failures: readonly string[];
}

/**
 * Removes images that nobody named, or with `all` every image that no container uses. Pinned ones stay, and
 * those used in the last `unusedMs`. Goes on after a failure.
 */
export async function pruneImages(
  deps: ImageDeps,
  call: Call,
  request: { all: boolean; unusedMs: number },
): Promise<PruneReport> {
  throwIfAborted(call, "prune images");
  await measureLayers(deps);
  const doomed = unusedImages(deps.store).filter(
    ({ named, usedAt }) => (request.all || !named) && isOld(usedAt, request.unusedMs * 1000),
  );
  return await removeUnused(deps, call, doomed);
}

/** Removes images one after the other, as long as `goOn` says so; an image that is used again stays. */
export async function removeUnused(
  deps: ImageDeps,
  call: Call,
  doomed: readonly ImageUse[],
  goOn: () => Promise<boolean> = async () => true,
): Promise<PruneReport> {
  const images: PrunedImage[] = [];
  const failures: string[] = [];
  for (const { id } of doomed) {
    if (call.signal.aborted || !(await goOn())) break;
    const image = getImage(deps.store, id);
    if (image === null || !unusedImages(deps.store).some((unused) => unused.id === id)) continue;
    const freedBytes = exclusiveBytes(deps.store, [id]);
    try {
      await removeImage(deps, call, id);
      images.push({ id, references: [...image.repoTags, ...image.repoDigests], freedBytes });
    } catch (error) {
      failures.push(messageOf(error));
      call.log.warn({ image: id, error: messageOf(error) }, "remove unused image failed");
    }
  }
  await sweepUnneeded(deps, call.log);
  return { images, failures };
}
