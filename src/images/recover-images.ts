import type { Call } from "../lib/call.ts";
import { imageIds } from "../store/images.ts";
import type { ImageDeps } from "./deps.ts";
import { rebuildImages } from "./rebuild-images.ts";
import { sweepImages } from "./sweep-images.ts";

/** Start-up: images out of their records when the database knows none, then rows and directories agree. */
export async function recoverImages(deps: ImageDeps, call: Call): Promise<void> {
  if (imageIds(deps.store).length === 0) {
    const { rebuilt, left } = await rebuildImages(deps, call);
    if (rebuilt.length + left > 0) {
      call.log.warn({ rebuilt: rebuilt.length, left }, "images were read from their records");
    }
  }
  await sweepImages(deps, call);
}
