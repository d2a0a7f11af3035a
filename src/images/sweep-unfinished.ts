import { defaultLimits } from "../blobs/partials.ts";
import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { durably } from "../store/durable.ts";
import { unreferencedLayers } from "../store/layers.ts";
import type { Layer } from "../types/image.ts";
import { dropUnneededRows, removeLayerTrees } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";

/** Removes what interrupted pulls left and nobody has come back for: parts of blobs, and whole layers. */
export async function sweepUnfinished(deps: ImageDeps, call: Call): Promise<void> {
  const parts = await deps.partials.sweep();
  const old = unfinishedLayers(deps);
  const dropped = old.length === 0 ? [] : durably(deps.store, () => dropUnneededRows(deps, old));
  await removeLayerTrees(deps, call.log, dropped);
  if (parts + dropped.length === 0) return;
  call.log.info({ parts, layers: dropped.length }, "removed what interrupted pulls had left");
}

/** Layers that no image has named for so long that no interrupted pull will. */
export function unfinishedLayers(deps: Pick<ImageDeps, "store" | "config">): Layer[] {
  const { unfinishedMaxAgeMs = defaultLimits.maxAgeMs } = deps.config.registry;
  const oldest = nowMicros() - unfinishedMaxAgeMs * 1000;
  return unreferencedLayers(deps.store).filter(({ createdAt }) => createdAt <= oldest);
}
