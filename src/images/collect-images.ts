// The collection that nobody asks for: names that moved on, and a disk that is getting full.

import { statfs } from "node:fs/promises";
import type { Call } from "../lib/call.ts";
import { isOld } from "../lib/clock.ts";
import type { ImageUse } from "../store/images.ts";
import type { ImageDeps } from "./deps.ts";
import { measureLayers } from "./measure-layers.ts";
import { type PruneReport, removeUnused } from "./prune-images.ts";
import { sweepUnfinished } from "./sweep-unfinished.ts";
import { unusedImages } from "./unused-images.ts";

/** An image used so recently is about to be used: it was pulled for a container that is not there yet. */
const MIN_IDLE_MS = 2 * 60_000;

/**
 * Without marks only what interrupted pulls left goes, where a kubelet by default begins to remove images
 * (imageGCHighThresholdPercent), for it cannot know of that. A pull that is tried again soon still finds it.
 */
const SCARCE_PERCENT = 85;
const SCARCE_AGE_MS = 15 * 60_000;

/**
 * Removes what the configuration lets go ([images.gc]): images of a registry whose last name was lost longer
 * ago than the grace period, and, above the high mark, unused ones until the disk is below the low mark. What
 * was loaded or imported is never collected, since no registry may have it.
 */
export async function collectImages(
  deps: ImageDeps,
  call: Call,
  /** Share of the file system that is used, 0 to 100. */
  fullness: () => Promise<number> = () => diskFullness(deps.paths.root),
): Promise<PruneReport> {
  return await deps.imageMutex.run("collect", async () => {
    await measureLayers(deps);
    const { gc } = deps.config.images;
    const unused = unusedImages(deps.store).filter(({ local }) => !local);
    const released = gc.collectReleased ? unused.filter((image) => isOver(image, gc.graceMs)) : [];
    const first = await removeUnused(deps, call, released);
    const second = await relieveDisk(deps, call, fullness);
    await deps.reserve.fill();
    const report = {
      images: [...first.images, ...second.images],
      failures: [...first.failures, ...second.failures],
    };
    for (const { id, references, freedBytes } of report.images) {
      call.log.info({ image: id, references, freedBytes }, "unused image collected");
    }
    return report;
  });
}

function isOver({ releasedAt, usedAt }: ImageUse, graceMs: number): boolean {
  return releasedAt !== null && isOld(releasedAt, graceMs * 1000) && isOld(usedAt, graceMs * 1000);
}

async function relieveDisk(
  deps: ImageDeps,
  call: Call,
  fullness: () => Promise<number>,
): Promise<PruneReport> {
  const { marks } = deps.config.images.gc;
  if ((await fullness()) < (marks?.highPercent ?? SCARCE_PERCENT)) return { images: [], failures: [] };
  // What interrupted pulls left costs nobody anything but time.
  if (marks !== null) await sweepUnfinished(deps, call, { all: true });
  else await sweepUnfinished(deps, call, { maxAgeMs: SCARCE_AGE_MS });
  if (marks === null) return { images: [], failures: [] };
  const doomed = unusedImages(deps.store).filter(
    ({ local, usedAt }) => !local && isOld(usedAt, MIN_IDLE_MS * 1000),
  );
  const report = await removeUnused(deps, call, doomed, async () => (await fullness()) > marks.lowPercent);
  const left = await fullness();
  if (left > marks.lowPercent) {
    const wanted = marks.lowPercent;
    call.log.warn(
      { percent: left, wanted },
      "the disk stays fuller than the low mark: no more images are unused",
    );
  }
  return report;
}

/** As df shows it: what root alone may use counts as used. */
async function diskFullness(path: string): Promise<number> {
  const { blocks, bfree, bavail } = await statfs(path);
  const used = blocks - bfree;
  return used + bavail === 0 ? 0 : (used * 100) / (used + bavail);
}
