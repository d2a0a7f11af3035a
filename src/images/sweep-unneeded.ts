import { rm } from "node:fs/promises";
import type { Logger } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { deleteBlob, type KeptBlob, unheldBlobs } from "../store/blobs.ts";
import { abandonedLayers, forgetRetired } from "../store/retired-layers.ts";
import { removeLayer } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";

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
  const unheld = unheldBlobs(deps.store).filter(({ digest }) => !deps.desk.isHeld(digest));
  for (const { digest } of unheld) deleteBlob(deps.store, digest);
  await removeBlobs(deps, log, unheld);
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
