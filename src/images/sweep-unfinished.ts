import { defaultLimits } from "../blobs/partials.ts";
import type { Call } from "../lib/call.ts";
import { isOld } from "../lib/clock.ts";
import { durably } from "../store/durable.ts";
import { unreferencedLayers } from "../store/layers.ts";
import type { Layer } from "../types/image.ts";
import { dropUnneededRows, removeLayerTrees } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";

/**
 * Removes what interrupted pulls left and nobody has come back for, or more than may be left: parts of blobs,
 * and whole layers. `all`: everything that no running pull needs, because the room is needed; `maxAgeMs`:
 * what is older than that, when the configuration allows more.
 */
export async function sweepUnfinished(
  deps: ImageDeps,
  call: Call,
  { all = false, maxAgeMs }: { all?: boolean; maxAgeMs?: number } = {},
): Promise<void> {
  const parts = await deps.partials.sweep({ all, maxAgeMs });
  const doomed = all ? unreferencedLayers(deps.store) : unfinishedLayers(deps, maxAgeMs);
  const dropped = doomed.length === 0 ? [] : durably(deps.store, () => dropUnneededRows(deps, doomed));
  await removeLayerTrees(deps, call.log, dropped);
  if (parts + dropped.length === 0) return;
  call.log.info({ parts, layers: dropped.length }, "removed what interrupted pulls had left");
}

/**
 * Layers that no image has named for so long that no interrupted pull will, and the oldest of those that take
 * more room than may be kept.
 */
export function unfinishedLayers(
  deps: Pick<ImageDeps, "store" | "config">,
  ageMs = Number.POSITIVE_INFINITY,
): Layer[] {
  const { unfinishedMaxAgeMs, partialMaxBytes } = deps.config.registry;
  const maxAge = Math.min(ageMs, unfinishedMaxAgeMs ?? defaultLimits.maxAgeMs) * 1000;
  const room = partialMaxBytes ?? defaultLimits.maxBytes;
  let bytes = 0;
  return unreferencedLayers(deps.store)
    .sort((a, b) => b.createdAt - a.createdAt)
    .filter(({ createdAt, unpackedBytes }) => {
      bytes += unpackedBytes;
      return isOld(createdAt, maxAge) || bytes > room;
    });
}
