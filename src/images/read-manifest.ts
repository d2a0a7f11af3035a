// Reads manifests, indexes and configs, and tells them apart. All of it came from a registry or an archive.

import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { parseBoundedJson } from "../lib/bounded-json.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";
import {
  type ImageConfig,
  type ImageIndex,
  type ImageManifest,
  imageConfigSchema,
  indexSchema,
  manifestSchema,
  mediaTypes,
} from "../types/oci-image.ts";

export type Document =
  | { readonly kind: "manifest"; readonly manifest: ImageManifest; readonly mediaType: string }
  | { readonly kind: "index"; readonly index: ImageIndex };

/** Reads a manifest or an index. `told` is the media type beside it, "" when there is none. */
export function readDocument(bytes: Uint8Array, told: string, what: string): Document {
  const value = parseJson(bytes, what);
  const inside = typeof value.mediaType === "string" ? value.mediaType : "";
  const isIndexType = (type: string) => type === mediaTypes.ociIndex || type === mediaTypes.dockerList;
  const isManifestType = (type: string) =>
    type === mediaTypes.ociManifest || type === mediaTypes.dockerManifest;
  if (
    value.schemaVersion === 1 ||
    /^application\/vnd\.docker\.distribution\.manifest\.v1\+/.test(inside || told)
  ) {
    throw new BerthError(
      "UNIMPLEMENTED",
      `read ${what}: Docker schema 1 manifests are not supported; push the image again with a current tool`,
    );
  }
  const hasManifests = value.manifests !== undefined;
  const hasLayers = value.layers !== undefined || value.config !== undefined;
  const types = [inside, told];
  if (
    (hasManifests && hasLayers) ||
    types.some((t) => (isIndexType(t) && hasLayers) || (isManifestType(t) && hasManifests))
  ) {
    throw new BerthError("DATA_LOSS", `read ${what}: it can be read as a manifest and as an index; refused`);
  }
  if (hasManifests) return { kind: "index", index: checked<ImageIndex>(indexSchema, value, what) };
  const manifest = checked<ImageManifest>(manifestSchema, value, what);
  const mediaType = [inside, told].find(isManifestType) ?? mediaTypes.ociManifest;
  return { kind: "manifest", manifest, mediaType };
}

export function readImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  return checked<ImageConfig>(imageConfigSchema, parseJson(bytes, what), what);
}

function parseJson(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseBoundedJson(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new BerthError("DATA_LOSS", `read ${what}: ${error.message}`);
    throw new BerthError("DATA_LOSS", `read ${what}: it is not JSON: ${printable(messageOf(error))}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new BerthError("DATA_LOSS", `read ${what}: it is not a JSON object`);
}

const validators = new Map<TSchema, ReturnType<typeof Compile>>();

function checked<T>(schema: TSchema, value: unknown, what: string): T {
  const validator = validators.get(schema) ?? Compile(schema);
  validators.set(schema, validator);
  if (validator.Check(value)) return value as T;
  const first = validator.Errors(value)[0];
  const where = first === undefined || first.instancePath === "" ? "it" : `"${first.instancePath}"`;
  throw new BerthError(
    "DATA_LOSS",
    `read ${what}: ${printable(`${where} ${first?.message ?? "is malformed"}`)}`,
  );
}
