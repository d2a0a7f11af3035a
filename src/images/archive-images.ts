// Which images an archive holds: an OCI image layout, or what older `docker save` writes.

import { pourAll } from "../lib/byte-sink.ts";
import { BerthError } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import type { ImageRef } from "../store/image-refs.ts";
import type { ImageLimits } from "../types/config.ts";
import type { Digest } from "../types/ids.ts";
import { type Descriptor, type ImageIndex, mediaTypes } from "../types/oci-image.ts";
import type { ArchiveFile, ArchiveFiles } from "./archive-files.ts";
import type { ContentSource, RootManifest } from "./content-source.ts";
import { type ArchiveImage, imagesOfDockerArchive, namesInDockerList, refsOfName } from "./docker-archive.ts";
import { choosePlatform, fittingEntries, hostPlatform } from "./platform.ts";
import { readDocument } from "./read-manifest.ts";

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
    pour: async (descriptor, sink) => await pourAll(files.stream(find(files, descriptor)), sink),
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
  const names = await namesInDockerList(files, limits);
  const images: ArchiveImage[] = [];
  for (const entry of fitting) {
    const manifest = await source.manifest(entry, limits.maxManifestBytes, signal);
    const digest = digestOf(manifest, entry.digest);
    if (digest !== entry.digest) {
      throw new BerthError("DATA_LOSS", `read image archive: "${entry.digest}" has the digest "${digest}"`);
    }
    const root = { digest, mediaType: entry.mediaType, bytes: manifest };
    const refs = refsOfEntry(entry);
    images.push({ root, refs: refs.length > 0 ? refs : refsByConfig(root, names) });
  }
  return images;
}

/** The names that the manifest.json beside the index gives to an entry without one. */
function refsByConfig(root: RootManifest, names: ReadonlyMap<Digest, readonly string[]>): ImageRef[] {
  const document = readDocument(root.bytes, root.mediaType, "manifest of the archive");
  if (document.kind === "index") return [];
  const found = names.get(document.manifest.config.digest) ?? [];
  return found.flatMap((name) => refsOfName(name, root.digest));
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
