// Which images an archive holds: an OCI image layout, or what older `docker save` writes.

import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { BerthError, messageOf } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import { printable } from "../registry/failure.ts";
import { formatReference, nameOf, parseReference } from "../registry/reference.ts";
import type { ImageRef } from "../store/image-refs.ts";
import type { ImageLimits } from "../types/config.ts";
import type { Digest } from "../types/ids.ts";
import { type Descriptor, type ImageIndex, mediaTypes } from "../types/oci-image.ts";
import type { ArchiveFile, ArchiveFiles } from "./archive-files.ts";
import type { ContentSource, RootManifest } from "./content-source.ts";
import { choosePlatform, fittingEntries, hostPlatform } from "./platform.ts";
import { readDocument } from "./read-manifest.ts";

export interface ArchiveImage {
  readonly root: RootManifest;
  readonly refs: readonly ImageRef[];
}

/** The images for this machine in the archive. Throws INVALID_ARGUMENT when it is no image archive. */
export async function imagesInArchive(files: ArchiveFiles, limits: ImageLimits): Promise<ArchiveImage[]> {
  const index = files.named("index.json");
  if (index !== undefined) return await imagesOfLayout(files, index, limits);
  const list = files.named("manifest.json");
  if (list !== undefined) return await imagesOfDockerArchive(files, list, limits);
  throw new BerthError(
    "INVALID_ARGUMENT",
    "read image archive: it has neither index.json nor manifest.json; " +
      "it must be an OCI image layout or come from docker save",
  );
}

/** The archive's blobs, by digest. */
export function archiveSource(files: ArchiveFiles): ContentSource {
  return {
    async manifest(descriptor, maxBytes) {
      return await files.read(find(files, descriptor), maxBytes, `manifest "${descriptor.digest}"`);
    },
    blob: (descriptor) => files.stream(find(files, descriptor)),
    isRemote: false,
  };
}

function find(files: ArchiveFiles, descriptor: Descriptor): ArchiveFile {
  const file = files.withDigest(descriptor.digest);
  if (file === undefined) {
    throw new BerthError(
      "DATA_LOSS",
      `read image archive: it has no content with digest "${descriptor.digest}"`,
    );
  }
  if (file.size === descriptor.size) return file;
  throw new BerthError(
    "DATA_LOSS",
    `read image archive: "${descriptor.digest}" has ${file.size} bytes, not ${descriptor.size}`,
  );
}

async function imagesOfLayout(
  files: ArchiveFiles,
  index: ArchiveFile,
  limits: ImageLimits,
): Promise<ArchiveImage[]> {
  const bytes = await files.read(index, limits.maxManifestBytes, "index.json");
  const document = readDocument(bytes, mediaTypes.ociIndex, "index.json of the archive");
  if (document.kind !== "index")
    throw new BerthError("INVALID_ARGUMENT", "read image archive: index.json is no index");
  const fitting = await entriesToLoad(document.index);
  const source = archiveSource(files);
  const signal = new AbortController().signal;
  const images: ArchiveImage[] = [];
  for (const entry of fitting) {
    const manifest = await source.manifest(entry, limits.maxManifestBytes, signal);
    const digest = digestOf(manifest, entry.digest);
    if (digest !== entry.digest) {
      throw new BerthError("DATA_LOSS", `read image archive: "${entry.digest}" has the digest "${digest}"`);
    }
    const root = { digest, mediaType: entry.mediaType, bytes: manifest };
    images.push({ root, refs: refsOfEntry(entry) });
  }
  return images;
}

/** Those that run here or do not say where; of several under one name the best. */
async function entriesToLoad(index: ImageIndex): Promise<Descriptor[]> {
  const here = await hostPlatform();
  const anywhere = index.manifests.filter((entry) => entry.platform == null);
  const fitting = [...anywhere, ...fittingEntries(index, here)];
  // Nothing fits: this says for which platforms the archive has images.
  if (fitting.length === 0) return [choosePlatform(index, here, "the archive")];
  const seen = new Set<string>();
  return fitting.filter((entry) => {
    const [name] = refsOfEntry(entry);
    if (name === undefined) return true;
    const first = !seen.has(name.ref);
    seen.add(name.ref);
    return first;
  });
}

/** Names from annotations; a bare tag ("latest") is no name. */
function refsOfEntry(entry: Descriptor): ImageRef[] {
  const annotations = entry.annotations ?? {};
  const full = annotations["io.containerd.image.name"];
  const short = annotations["org.opencontainers.image.ref.name"];
  const name = full ?? (short !== undefined && /[/:]/.test(short) ? short : undefined);
  return name === undefined ? [] : refsOfName(name, entry.digest);
}

function refsOfName(name: string, digest: Digest | undefined): ImageRef[] {
  const reference = parseReference(name);
  const refs: ImageRef[] = [];
  if (reference.digest === undefined) refs.push({ ref: formatReference(reference), kind: "tag" });
  if (digest !== undefined) refs.push({ ref: `${nameOf(reference)}@${digest}`, kind: "digest" });
  return refs;
}

const dockerListSchema = Type.Array(
  Type.Object({
    Config: Type.String(),
    RepoTags: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
    Layers: Type.Array(Type.String()),
  }),
  { maxItems: 1024 },
);

/** Such an archive has no manifests: one is made for each image. Its digest is ours: no digest reference. */
async function imagesOfDockerArchive(
  files: ArchiveFiles,
  list: ArchiveFile,
  limits: ImageLimits,
): Promise<ArchiveImage[]> {
  const bytes = await files.read(list, limits.maxManifestBytes, "manifest.json");
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `read manifest.json of the archive: ${printable(messageOf(error))}`,
    );
  }
  if (!Compile(dockerListSchema).Check(value)) {
    throw new BerthError("INVALID_ARGUMENT", "read manifest.json of the archive: it is not a list of images");
  }
  return (value as Static<typeof dockerListSchema>).map((image) => {
    const config = describe(files, image.Config, mediaTypes.ociConfig);
    const layers = image.Layers.map((name) =>
      describe(files, name, "application/vnd.oci.image.layer.v1.tar"),
    );
    const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers };
    const made = Buffer.from(JSON.stringify(manifest));
    const root = { digest: digestOf(made, "sha256:"), mediaType: mediaTypes.ociManifest, bytes: made };
    return { root, refs: (image.RepoTags ?? []).flatMap((name) => refsOfName(name, undefined)) };
  });
}

function describe(files: ArchiveFiles, name: string, mediaType: string): Descriptor {
  const file = files.named(name);
  if (file !== undefined) return { mediaType, digest: file.digest, size: file.size };
  throw new BerthError("INVALID_ARGUMENT", `read image archive: it has no file "${printable(name)}"`);
}
