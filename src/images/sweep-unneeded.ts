import { rm } from "node:fs/promises";
import type { Logger } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { deleteBlob, type KeptBlob, unheldBlobs } from "../store/blobs.ts";
import { abandonedLayers, forgetRetired } from "../store/retired-layers.ts";
import { removeLayer } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";

/** A pull that keeps a blob has committed by then, or failed. */
const pullMicros = 6 * 3600 * 1_000_000;

/**
 * Takes off the disk what no image and no container has any more. Goes on after a failure, which is logged.
 */
export async function sweepUnneeded(deps: ImageDeps, log: Logger): Promise<void> {
  for (const number of abandonedLayers(deps.store)) {
    const path = deps.paths.layer(number);
    try {
      await removeLayer(deps, number);
      forgetRetired(deps.store, number);
    } catch (error) {
      log.error({ path, error: messageOf(error) }, "remove replaced layer failed");
    }
  }
  const old = unheldBlobs(deps.store, nowMicros() - pullMicros);
  for (const { digest } of old) deleteBlob(deps.store, digest);
  await removeBlobs(deps, log, old);
}

/** Removes the files of blobs whose rows are gone. A failure is logged: the next start finds the file. */
export async function removeBlobs(deps: ImageDeps, log: Logger, blobs: readonly KeptBlob[]): Promise<void> {
  for (const { digest } of blobs) {
    const path = deps.paths.blob(digest);
    try {
      await rm(path, { force: true });
    } catch (error) {
      log.error({ path, error: messageOf(error) }, "remove blob failed");
    }
  }
}
