// After every start, beside everything else: are the layers what they were, and the records what the rows
// say?

import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Call } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { imageIds } from "../store/images.ts";
import type { ImageDeps } from "./deps.ts";
import { recordImage } from "./image-record.ts";
import { verifyImage } from "./verify-image.ts";

/** Three quarters of the time are left to others. */
const PAUSE = 3;

/** Looks at every layer quickly (sizes, types, modes, owners) and notes which are damaged. Never throws. */
export async function checkLayers(deps: ImageDeps, call: Call): Promise<void> {
  try {
    await deps.reserve.fill();
    await sweepRecords(deps, call);
    const verdicts = await verifyImage(deps, call, { full: false, pause: PAUSE });
    const damaged = verdicts.filter(({ damage }) => damage !== "").length;
    call.log.info({ layers: verdicts.length, damaged }, "layers checked");
  } catch (error) {
    if (call.signal.aborted) return;
    call.log.error({ error: messageOf(error) }, "check of layers failed");
  }
}

/** Records that a crash or a full disk left behind or out of date. */
async function sweepRecords(deps: ImageDeps, call: Call): Promise<void> {
  const { paths, store } = deps;
  const names = await readdir(paths.imageRecords);
  // After the listing: whatever is recorded meanwhile has a row already.
  const ids = imageIds(store);
  const known = new Set(ids.map((id) => basename(paths.imageRecord(id))));
  for (const name of names) {
    if (!known.has(name)) await rm(join(paths.imageRecords, name), { force: true });
  }
  for (const id of ids) await recordImage(deps, call.log, id);
}
