// Tells manifests from indexes and picks this machine's platform. Everything here came from a registry.

import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { BerthError, messageOf } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";
import {
  type Descriptor,
  type ImageConfig,
  type ImageIndex,
  type ImageManifest,
  imageConfigSchema,
  indexSchema,
  manifestSchema,
  mediaTypes,
} from "../types/oci-image.ts";

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Variants that run here, the best first. */
  readonly variants: readonly string[];
}

export type Document =
  | { readonly kind: "manifest"; readonly manifest: ImageManifest; readonly mediaType: string }
  | { readonly kind: "index"; readonly index: ImageIndex };

/** The platform that this daemon runs on, in the words of the image specification. */
export function hostPlatform(arch: string = process.arch): Platform {
  if (arch === "arm64") return { os: "linux", architecture: "arm64", variants: ["v8", ""] };
  if (arch === "x64") return { os: "linux", architecture: "amd64", variants: ["", "v1"] };
  return { os: "linux", architecture: arch, variants: [""] };
}

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

/** The entry of the index for the platform; NOT_FOUND lists the platforms that it has. */
export function choosePlatform(index: ImageIndex, platform: Platform, what: string): Descriptor {
  const { os, architecture, variants } = platform;
  for (const variant of variants) {
    const match = index.manifests.find(
      (entry) =>
        entry.platform?.os === os &&
        entry.platform.architecture === architecture &&
        (entry.platform.variant ?? "") === variant,
    );
    if (match !== undefined) return match;
  }
  // Entries without a platform: one alone is the image, its config tells the platform.
  const [only, ...others] = index.manifests.filter((entry) => entry.platform === undefined);
  if (only !== undefined && others.length === 0) return only;
  const names = index.manifests.map((entry) => platformName(entry.platform)).filter((name) => name !== "");
  const list = [...new Set(names)].slice(0, 32).join(", ") || "nothing";
  throw new BerthError(
    "NOT_FOUND",
    `choose from ${what}: it has no image for ${os}/${architecture}, only for: ${list}`,
  );
}

/** Refuses an image that says it is for another platform. */
export function checkPlatform(config: ImageConfig, platform: Platform, what: string): void {
  const os = config.os ?? "";
  const architecture = config.architecture ?? "";
  if ((os === "" || os === platform.os) && (architecture === "" || architecture === platform.architecture))
    return;
  const its = printable(`${os}/${architecture}`);
  const ours = `${platform.os}/${platform.architecture}`;
  throw new BerthError("NOT_FOUND", `use ${what}: it is for ${its}, this machine is ${ours}`);
}

function platformName(platform: Descriptor["platform"]): string {
  if (platform === undefined || platform.os === "unknown") return "";
  const variant = platform.variant === undefined || platform.variant === "" ? "" : `/${platform.variant}`;
  return printable(`${platform.os}/${platform.architecture}${variant}`);
}

function parseJson(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
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
