// From an image's root manifest to what has to be on disk: index, manifest, config, all checked.

import type { FramedFile } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import type { ImageLimits } from "../types/config.ts";
import type { Digest, ImageId } from "../types/ids.ts";
import type { ImageRuntimeConfig, NewArtifact } from "../types/image.ts";
import type { Descriptor, ImageConfig, ImageManifest } from "../types/oci-image.ts";
import { artifactTypeOf, filesOfArtifact } from "./artifact-files.ts";
import type { ContentSource, RootManifest } from "./content-source.ts";
import { checkPlatform, choosePlatform, hostPlatform, is32Bit } from "./platform.ts";
import { readDocument, readImageConfig } from "./read-manifest.ts";
import { checkBytes, checkDigest, readSmallBlob } from "./read-small-blob.ts";

export interface LayerSource {
  readonly descriptor: Descriptor;
  /** Of an artifact's file what stands for it (filesOfArtifact). */
  readonly diffId: Digest;
  /** What the blob becomes that is no layer. */
  readonly file?: FramedFile | undefined;
  /** Of an image of 32-bit programs: they may not be able to read the inode numbers of other forms. */
  readonly keepDirectory?: boolean;
}

/** An image or an artifact that is known, but whose layers are not on disk yet. */
export interface ImagePlan {
  readonly id: ImageId;
  readonly config: ImageRuntimeConfig;
  /** "" of an artifact. */
  readonly configJson: string;
  readonly artifact: NewArtifact | null;
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

/** Reads the config of a manifest and checks that the two fit together; of an artifact it may be anything. */
export async function readImage(
  source: ContentSource,
  found: PlatformManifest,
  limits: ImageLimits,
  what: string,
  signal: AbortSignal,
): Promise<ImagePlan> {
  const { manifest } = found;
  const artifactType = artifactTypeOf(manifest);
  checkManifest(manifest, artifactType, limits, what);
  const bytes = await readSmallBlob(
    source,
    manifest.config,
    limits.maxConfigBytes,
    `config of ${what}`,
    signal,
  );
  const common = {
    manifestDigest: found.digest,
    manifest: found.bytes,
    manifestType: found.mediaType,
    size: Math.max(1, manifest.config.size + manifest.layers.reduce((sum, layer) => sum + layer.size, 0)),
  };
  if (artifactType !== "") {
    const layers = upperOfSame(filesOfArtifact(manifest, what));
    return { ...common, ...artifactIdentity(found.bytes, artifactType, bytes), layers };
  }
  const config = readImageConfig(bytes, `config of ${what}`);
  checkPlatform(config, await hostPlatform(), what);
  return {
    ...common,
    id: digestOf(bytes, "sha256:") as string,
    config: runtimeConfigOf(config),
    configJson: Buffer.from(bytes).toString("utf8"),
    artifact: null,
    architecture: config.architecture ?? "",
    os: config.os ?? "",
    layers: upperOfSame(pairLayers(manifest, config, what)),
  };
}

/** All artifacts without a config have the same one, so the manifest tells them apart. */
export function artifactIdentity(manifest: Uint8Array, type: string, config: Uint8Array) {
  return {
    id: digestOf(manifest, "sha256:") as string,
    config: runtimeConfigOf({ rootfs: { type: "layers" } }),
    configJson: "",
    artifact: { type, config },
    architecture: "",
    os: "",
  };
}

function checkManifest(
  manifest: ImageManifest,
  artifactType: string,
  limits: ImageLimits,
  what: string,
): void {
  const count = manifest.layers.length;
  const isImage = artifactType === "";
  if (count > limits.maxLayers) {
    const counted = `${count} ${isImage ? "layers" : "blobs"}`;
    throw new BerthError(
      "RESOURCE_EXHAUSTED",
      `use ${what}: it has ${counted}, the limit is ${limits.maxLayers}`,
    );
  }
  checkDigest(manifest.config, what);
  for (const layer of manifest.layers) {
    if (isImage) checkLayerType(layer, what);
    checkDigest(layer, what);
    checkSize(layer, limits, what);
  }
}

/** A blob that is larger than what may come out of it is no layer: it would only fill the disk. */
function checkSize({ digest, size }: Descriptor, limits: ImageLimits, what: string): void {
  const limit = limits.maxLayerUnpackedBytes;
  if (size <= limit) return;
  throw new BerthError(
    "RESOURCE_EXHAUSTED",
    `use ${what}: layer "${digest}" has ${size} bytes, the limit is ${limit}; ` +
      "raise max_layer_unpacked_bytes under [images] if you trust the image",
  );
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

function pairLayers(manifest: ImageManifest, config: ImageConfig, what: string): LayerSource[] {
  const diffIds = config.rootfs.diff_ids ?? [];
  const keepDirectory = is32Bit(config.architecture ?? "");
  if (diffIds.length !== manifest.layers.length) {
    throw new BerthError(
      "DATA_LOSS",
      `use ${what}: its manifest has ${manifest.layers.length} layers, its config ${diffIds.length} diff IDs`,
    );
  }
  return manifest.layers.map((descriptor, position) => {
    const diffId = diffIds[position] as Digest;
    if (diffId.startsWith("sha256:")) return { descriptor, diffId, keepDirectory };
    throw new BerthError("UNIMPLEMENTED", `use ${what}: diff ID "${diffId}" is not a sha256 digest`);
  });
}

function upperOfSame(sources: readonly LayerSource[]): LayerSource[] {
  const layers = new Map<Digest, LayerSource>();
  for (const source of sources) {
    layers.delete(source.diffId);
    layers.set(source.diffId, source);
  }
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
