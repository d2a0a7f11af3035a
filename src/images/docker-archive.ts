// The manifest.json of `docker save`: which images an archive holds, by the files of their parts.

import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { parseBoundedJson } from "../lib/bounded-json.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import { printable } from "../registry/failure.ts";
import { formatReference, nameOf, parseReference } from "../registry/reference.ts";
import type { ImageRef } from "../store/image-refs.ts";
import type { ImageLimits } from "../types/config.ts";
import type { Digest } from "../types/ids.ts";
import { type Descriptor, mediaTypes } from "../types/oci-image.ts";
import type { ArchiveFile, ArchiveFiles } from "./archive-files.ts";
import type { RootManifest } from "./content-source.ts";

const listSchema = Type.Array(
  Type.Object({
    Config: Type.String(),
    RepoTags: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
    Layers: Type.Array(Type.String()),
  }),
  { maxItems: 1024 },
);
type DockerList = Static<typeof listSchema>;

export interface ArchiveImage {
  readonly root: RootManifest;
  readonly refs: readonly ImageRef[];
}

/** The references of an image called so; the digest's too when there is one. */
export function refsOfName(name: string, digest: Digest | undefined): ImageRef[] {
  const reference = parseReference(name);
  const refs: ImageRef[] = [];
  if (reference.digest === undefined) refs.push({ ref: formatReference(reference), kind: "tag" });
  if (digest !== undefined) refs.push({ ref: `${nameOf(reference)}@${digest}`, kind: "digest" });
  return refs;
}

/** Names by the digest of the image's config; empty without a manifest.json. */
export async function namesInDockerList(
  files: ArchiveFiles,
  limits: ImageLimits,
): Promise<Map<Digest, readonly string[]>> {
  const list = files.named("manifest.json");
  const names = new Map<Digest, readonly string[]>();
  if (list === undefined) return names;
  for (const { Config, RepoTags } of await readList(files, list, limits)) {
    const config = files.named(Config);
    if (config !== undefined) names.set(config.digest, RepoTags ?? []);
  }
  return names;
}

/** Such an archive has no manifests: one is made for each image. Its digest is ours: no digest reference. */
export async function imagesOfDockerArchive(
  files: ArchiveFiles,
  list: ArchiveFile,
  limits: ImageLimits,
): Promise<ArchiveImage[]> {
  const images: ArchiveImage[] = [];
  for (const image of await readList(files, list, limits)) {
    const config = await describe(files, image.Config, () => mediaTypes.ociConfig);
    const layers: Descriptor[] = [];
    for (const name of image.Layers) layers.push(await describe(files, name, layerTypeOf));
    const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers };
    const made = Buffer.from(JSON.stringify(manifest));
    const root = { digest: digestOf(made, "sha256:"), mediaType: mediaTypes.ociManifest, bytes: made };
    images.push({ root, refs: (image.RepoTags ?? []).flatMap((name) => refsOfName(name, undefined)) });
  }
  return images;
}

async function readList(files: ArchiveFiles, list: ArchiveFile, limits: ImageLimits): Promise<DockerList> {
  const bytes = await files.read(list, limits.maxManifestBytes, "manifest.json");
  let value: unknown;
  try {
    value = parseBoundedJson(bytes);
  } catch (error) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `read manifest.json of the archive: ${printable(messageOf(error))}`,
    );
  }
  if (Compile(listSchema).Check(value)) return value as DockerList;
  throw new BerthError("INVALID_ARGUMENT", "read manifest.json of the archive: it is not a list of images");
}

async function describe(
  files: ArchiveFiles,
  name: string,
  typeOf: (head: Uint8Array) => string,
): Promise<Descriptor> {
  const file = files.named(name);
  if (file !== undefined) {
    return { mediaType: typeOf(await files.head(file)), digest: file.digest, size: file.size };
  }
  throw new BerthError("INVALID_ARGUMENT", `read image archive: it has no file "${printable(name)}"`);
}

/** Docker's layers are plain, other tools compress them. */
function layerTypeOf(head: Uint8Array): string {
  const magic = Buffer.from(head).toString("hex");
  if (magic.startsWith("1f8b")) return `${mediaTypes.ociLayer}+gzip`;
  return magic.startsWith("28b52ffd") ? `${mediaTypes.ociLayer}+zstd` : mediaTypes.ociLayer;
}
