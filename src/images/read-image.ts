// From an image's root manifest to what has to be on disk: index, manifest, config, all checked.

import { BerthError } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import { isDigest } from "../registry/reference.ts";
import type { ImageLimits } from "../types/config.ts";
import type { Digest, ImageId } from "../types/ids.ts";
import type { ImageRuntimeConfig } from "../types/image.ts";
import type { Descriptor, ImageConfig, ImageManifest } from "../types/oci-image.ts";
import { mediaTypes } from "../types/oci-image.ts";
import type { ContentSource, RootManifest } from "./content-source.ts";
import { checkPlatform, choosePlatform, hostPlatform } from "./platform.ts";
import { readDocument, readImageConfig } from "./read-manifest.ts";

export interface LayerSource {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

/** An image that is known, but whose layers are not on disk yet. */
export interface ImagePlan {
  readonly id: ImageId;
  readonly config: ImageRuntimeConfig;
  readonly configJson: string;
  readonly architecture: string;
  readonly os: string;
  readonly manifestDigest: Digest;
  readonly manifest: Uint8Array;
  readonly manifestType: string;
  readonly size: number;
  /**
   * The lowest first, each diff ID once. Of a layer that occurs twice only the upper one counts: it has all
   * that the lower one has, and overlay refuses a directory that is listed twice.
   */
  readonly layers: readonly LayerSource[];
}

/** An index may hold indexes; more levels than this are an attack. */
const maxIndexDepth = 3;

/** The document of this platform that `root` leads to. */
export interface PlatformManifest {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly manifest: ImageManifest;
}

/** Follows indexes from `root` to the manifest for this machine. `what` names the image in errors. */
export async function readPlatformManifest(
  source: ContentSource,
  root: RootManifest,
  limits: ImageLimits,
  what: string,
  signal: AbortSignal,
): Promise<PlatformManifest> {
  let current = root;
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const document = readDocument(current.bytes, current.mediaType, `manifest of ${what}`);
    if (document.kind === "manifest") {
      return { ...current, manifest: document.manifest, mediaType: document.mediaType };
    }
    const entry = choosePlatform(document.index, await hostPlatform(), what);
    checkDigest(entry, what);
    const bytes = await source.manifest(entry, limits.maxManifestBytes, signal);
    checkBytes(entry, bytes, `manifest of ${what}`);
    current = { digest: entry.digest, mediaType: entry.mediaType, bytes };
  }
  throw new BerthError("DATA_LOSS", `read ${what}: more than ${maxIndexDepth} indexes inside each other`);
}

/** Reads the config of a manifest and checks that the two fit together. */
export async function readImage(
  source: ContentSource,
  found: PlatformManifest,
  limits: ImageLimits,
  what: string,
  signal: AbortSignal,
): Promise<ImagePlan> {
  const { manifest } = found;
  checkManifest(manifest, limits, what);
  const bytes = await readSmallBlob(
    source,
    manifest.config,
    limits.maxConfigBytes,
    `config of ${what}`,
    signal,
  );
  const config = readImageConfig(bytes, `config of ${what}`);
  checkPlatform(config, await hostPlatform(), what);
  return {
    id: digestOf(bytes, "sha256:") as string,
    config: runtimeConfigOf(config),
    configJson: Buffer.from(bytes).toString("utf8"),
    architecture: config.architecture ?? "",
    os: config.os ?? "",
    manifestDigest: found.digest,
    manifest: found.bytes,
    manifestType: found.mediaType,
    size: Math.max(1, manifest.config.size + manifest.layers.reduce((sum, layer) => sum + layer.size, 0)),
    layers: pairLayers(manifest, config, what),
  };
}

function checkManifest(manifest: ImageManifest, limits: ImageLimits, what: string): void {
  const type = manifest.config.mediaType;
  if (type !== mediaTypes.ociConfig && type !== mediaTypes.dockerConfig) {
    const kind = manifest.artifactType ?? type;
    throw new BerthError(
      "UNIMPLEMENTED",
      `use ${what}: it is no image but an artifact of type "${kind}"; ` +
        "berth stores images only, to run them or to mount them as volumes",
    );
  }
  if (manifest.layers.length > limits.maxLayers) {
    const count = manifest.layers.length;
    throw new BerthError(
      "RESOURCE_EXHAUSTED",
      `use ${what}: it has ${count} layers, the limit is ${limits.maxLayers}`,
    );
  }
  checkDigest(manifest.config, what);
  for (const layer of manifest.layers) {
    checkLayerType(layer, what);
    checkDigest(layer, what);
  }
}

const layerTypes = [
  /^application\/vnd\.oci\.image\.layer\.v1\.tar(?:\+gzip|\+zstd)?$/,
  /^application\/vnd\.docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?$/,
];

function checkLayerType(layer: Descriptor, what: string): void {
  if (layerTypes.some((pattern) => pattern.test(layer.mediaType))) return;
  const foreign = /nondistributable|rootfs\.foreign/.test(layer.mediaType);
  throw new BerthError(
    "UNIMPLEMENTED",
    foreign
      ? `use ${what}: layer "${layer.digest}" is not distributable (a foreign layer); refused`
      : `use ${what}: layer "${layer.digest}" has the unknown type "${layer.mediaType}"`,
  );
}

/** Documents may name digests of any algorithm; what is used has to be one that can be computed. */
function checkDigest({ digest }: Descriptor, what: string): void {
  if (isDigest(digest)) return;
  throw new BerthError("UNIMPLEMENTED", `use ${what}: "${digest}" is not a sha256 or sha512 digest`);
}

function pairLayers(manifest: ImageManifest, config: ImageConfig, what: string): LayerSource[] {
  const diffIds = config.rootfs.diff_ids ?? [];
  if (diffIds.length !== manifest.layers.length) {
    throw new BerthError(
      "DATA_LOSS",
      `use ${what}: its manifest has ${manifest.layers.length} layers, its config ${diffIds.length} diff IDs`,
    );
  }
  const layers = new Map<Digest, LayerSource>();
  manifest.layers.forEach((descriptor, position) => {
    const diffId = diffIds[position] as Digest;
    if (!diffId.startsWith("sha256:")) {
      throw new BerthError("UNIMPLEMENTED", `use ${what}: diff ID "${diffId}" is not a sha256 digest`);
    }
    layers.delete(diffId);
    layers.set(diffId, { descriptor, diffId });
  });
  return [...layers.values()];
}

export function runtimeConfigOf(config: ImageConfig): ImageRuntimeConfig {
  const runtime = config.config ?? {};
  return {
    user: runtime.User ?? "",
    env: runtime.Env ?? [],
    entrypoint: runtime.Entrypoint ?? [],
    cmd: runtime.Cmd ?? [],
    workingDir: runtime.WorkingDir ?? "",
    stopSignal: runtime.StopSignal ?? "",
    volumes: Object.keys(runtime.Volumes ?? {}),
    exposedPorts: Object.keys(runtime.ExposedPorts ?? {}),
    labels: runtime.Labels ?? {},
  };
}

async function readSmallBlob(
  source: ContentSource,
  descriptor: Descriptor,
  maxBytes: number,
  what: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (descriptor.size > maxBytes) {
    throw new BerthError(
      "DATA_LOSS",
      `read ${what}: it has ${descriptor.size} bytes, the limit is ${maxBytes}`,
    );
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of source.blob(descriptor, signal)) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  checkBytes(descriptor, bytes, what);
  return bytes;
}

function checkBytes(descriptor: Descriptor, bytes: Uint8Array, what: string): void {
  if (bytes.byteLength !== descriptor.size) {
    throw new BerthError(
      "DATA_LOSS",
      `read ${what}: it has ${bytes.byteLength} bytes, its descriptor says ${descriptor.size}`,
    );
  }
  const actual = digestOf(bytes, descriptor.digest);
  if (actual === descriptor.digest) return;
  throw new BerthError(
    "DATA_LOSS",
    `read ${what}: its digest is "${actual}", its descriptor says "${descriptor.digest}"`,
  );
}
