// The table [images] of berth.toml.

import { availableParallelism } from "node:os";
import { type Static, Type } from "typebox";
import { BerthError } from "../lib/errors.ts";
import type { CollectionConfig, ImagePin, ImagesConfig } from "../types/config.ts";

const count = Type.Integer({ minimum: 1 });
/** overlayfs stacks 500 layers, and an image volume has an empty one below (OVL_MAX_STACK in the kernel). */
const mostLayers = 499;
const percent = Type.Integer({ minimum: 1, maximum: 100 });

export const ImagesSchema = Type.Object({
  max_manifest_bytes: Type.Optional(count),
  max_config_bytes: Type.Optional(count),
  max_layers: Type.Optional(Type.Integer({ minimum: 1, maximum: mostLayers })),
  max_layer_unpacked_bytes: Type.Optional(count),
  max_layer_entries: Type.Optional(count),
  parallel_layers: Type.Optional(count),
  layer_format: Type.Optional(Type.Enum(["auto", "directory", "erofs"])),
  keep_blobs: Type.Optional(Type.Boolean()),
  pinned: Type.Optional(Type.Array(Type.String({ pattern: "^[\\x21-\\x7e]{1,512}$" }))),
  gc: Type.Optional(
    Type.Object({
      collect_released: Type.Optional(Type.Boolean()),
      grace_minutes: Type.Optional(count),
      high_mark_percent: Type.Optional(percent),
      low_mark_percent: Type.Optional(percent),
      interval_minutes: Type.Optional(count),
    }),
  ),
});

type ImagesTable = Static<typeof ImagesSchema>;

/** Fills in the defaults. INVALID_ARGUMENT when the marks make no sense together. */
export function imagesOf(table: ImagesTable = {}): ImagesConfig {
  return {
    maxManifestBytes: table.max_manifest_bytes ?? 4 * 1024 * 1024,
    maxConfigBytes: table.max_config_bytes ?? 8 * 1024 * 1024,
    maxLayers: table.max_layers ?? mostLayers,
    maxLayerUnpackedBytes: table.max_layer_unpacked_bytes ?? 64 * 1024 ** 3,
    maxLayerEntries: table.max_layer_entries ?? 4_000_000,
    parallelLayers: table.parallel_layers ?? defaultParallelLayers(availableParallelism()),
    layerFormat: table.layer_format ?? "auto",
    keepBlobs: table.keep_blobs ?? false,
    pinned: (table.pinned ?? []).map(pinOf),
    gc: collectionOf(table.gc),
  };
}

/**
 * Of one pull, at once. One more than there are cores keeps them busy while one waits for the network; with
 * few cores more only take memory and each other's caches.
 */
export const defaultParallelLayers = (cores: number): number => Math.min(Math.max(cores + 1, 3), 6);

function collectionOf(table: ImagesTable["gc"] = {}): CollectionConfig {
  const { high_mark_percent: high, low_mark_percent: low } = table;
  const refuse = (why: string): never => {
    throw new BerthError("INVALID_ARGUMENT", `[images.gc]: ${why}`);
  };
  if ((high === undefined) !== (low === undefined)) {
    refuse("high_mark_percent and low_mark_percent need each other");
  }
  if (high !== undefined && low !== undefined && low >= high) {
    refuse(`low_mark_percent (${low}) must be below high_mark_percent (${high})`);
  }
  return {
    collectReleased: table.collect_released ?? true,
    graceMs: (table.grace_minutes ?? 7 * 24 * 60) * 60_000,
    marks: high === undefined || low === undefined ? null : { highPercent: high, lowPercent: low },
    intervalMs: (table.interval_minutes ?? 5) * 60_000,
  };
}

/**
 * A pattern as references are kept: with their host, and ":latest" where neither tag nor digest is named. One
 * with a "*", a "?" or a "[" (but that of an IPv6 host) is matched with the whole reference, "*" standing for
 * slashes too.
 */
function pinOf(text: string): ImagePin {
  if (text === "*") return { pattern: text, exact: false };
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return { pattern: text, exact: true };
  const slash = text.indexOf("/");
  const first = slash < 0 ? "" : text.slice(0, slash);
  const hasHost = first === "localhost" || /[.:*]/.test(first);
  const host = hasHost ? first : "docker.io";
  const rest = hasHost ? text.slice(slash + 1) : text;
  const path = host === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest;
  if (/[*?]/.test(text) || path.includes("[")) {
    return { pattern: `${host.replace("[", "[[]")}/${path}`, exact: false };
  }
  return { pattern: `${host}/${path}${/[:@]/.test(path) ? "" : ":latest"}`, exact: true };
}
