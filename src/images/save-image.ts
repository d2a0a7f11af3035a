import { type Call, type Logger, throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { manifestOfImage } from "../store/images.ts";
import type { Image } from "../types/image.ts";
import { mediaTypes } from "../types/oci-image.ts";
import { type ArchivePart, tarOf } from "./archive-writer.ts";
import { releaseLayers } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";
import { resolveImage } from "./resolve-image.ts";
import { type SavedImage, savedImage } from "./saved-layers.ts";

export type ArchiveFormat = "docker" | "oci";

/**
 * Images as one tar stream: an OCI image layout, and with the format "docker" a layout that `docker load`
 * reads as well. Layers are in it as they came when they were kept, else uncompressed: the image ids are
 * the same, the manifests' digests then not. Artifacts are in it as they came. An image given by id has no
 * name in the archive. The layers are held until the stream ends. Errors: NOT_FOUND, INVALID_ARGUMENT (an
 * artifact in docker's format), FAILED_PRECONDITION (damaged); DATA_LOSS in the middle.
 */
export async function saveImage(
  deps: ImageDeps,
  call: Call,
  request: { references: readonly string[]; format: ArchiveFormat },
): Promise<AsyncIterable<Uint8Array>> {
  throwIfAborted(call, "save images");
  if (request.references.length === 0) {
    throw new BerthError("INVALID_ARGUMENT", "save images: none is named");
  }
  const named = request.references.map((reference) => find(deps, reference));
  const saved = new Map<string, SavedImage>();
  const tags = new Map<string, Set<string>>();
  for (const { image, tag } of named) {
    tags.set(image.id, (tags.get(image.id) ?? new Set()).add(tag));
    if (saved.has(image.id)) continue;
    saved.set(image.id, await described(deps, image, request.format));
  }
  const names = new Map([...tags].map(([id, of]) => [id, [...of].filter((tag) => tag !== "")]));
  return heldWhile(
    deps,
    call.log,
    [...saved.values()],
    tarOf(partsOf([...saved.values()], names, request.format)),
  );
}

function find(deps: ImageDeps, reference: string): { image: Image; tag: string } {
  const image = resolveImage(deps.store, reference);
  if (image === null) throw new BerthError("NOT_FOUND", `save image "${reference}": there is no such image`);
  const isId = /^(?:sha256:)?[0-9a-f]{64}$/.test(reference);
  const name = isId ? "" : formatReference(parseReference(reference));
  return { image, tag: image.repoTags.includes(name) ? name : "" };
}

async function described(deps: ImageDeps, image: Image, format: ArchiveFormat): Promise<SavedImage> {
  const doing = `save image "${image.repoTags[0] ?? image.id}"`;
  const manifest = manifestOfImage(deps.store, image.id);
  if (manifest === null) throw new BerthError("NOT_FOUND", `${doing}: there is no such image`);
  if (image.artifact !== null && format === "docker") {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `${doing}: it is an artifact of type "${image.artifact.type}", which docker's format cannot hold; ` +
        "save it in the format oci",
    );
  }
  return await savedImage(deps, image, manifest, format === "oci", doing);
}

/** What is being read is not removed meanwhile. */
async function* heldWhile(
  deps: ImageDeps,
  log: Logger,
  images: readonly SavedImage[],
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const held = images.flatMap(({ layers }) =>
    layers.flatMap(({ diffId, original }) => [diffId, original.digest]),
  );
  for (const digest of held) deps.desk.hold(digest);
  try {
    yield* stream;
  } finally {
    await releaseLayers(deps, log, held, false);
  }
}

/** The parts of the archive, the small ones first: who reads a stream then knows what comes. */
function partsOf(
  images: readonly SavedImage[],
  names: ReadonlyMap<string, readonly string[]>,
  format: ArchiveFormat,
): ArchivePart[] {
  const blobs = new Map<string, ArchivePart>();
  const manifests: object[] = [];
  const list: object[] = [];
  const shared = sharedTags([...names.values()].flat());
  for (const saved of images) {
    const { image, config, configBytes, layers } = saved;
    const document = documentOf(saved);
    const put = (digest: string, size: number, open: ArchivePart["open"]) => {
      const name = `blobs/${digest.replace(":", "/")}`;
      if (!blobs.has(name)) blobs.set(name, { name, size, open });
    };
    put(document.digest, document.bytes.byteLength, () => [document.bytes]);
    put(config.digest, configBytes.byteLength, () => [configBytes]);
    for (const { descriptor, open } of layers) put(descriptor.digest, descriptor.size, open);
    const { mediaType, digest, bytes } = document;
    const platform = { architecture: image.architecture, os: image.os };
    const kind = image.artifact === null ? {} : { artifactType: image.artifact.type };
    const entry = {
      mediaType,
      digest,
      size: bytes.byteLength,
      ...(image.os === "" ? {} : { platform }),
      ...kind,
    };
    const own = names.get(image.id) ?? [];
    if (own.length === 0) manifests.push(entry);
    for (const name of own) manifests.push({ ...entry, annotations: annotationsOf(name, shared) });
    list.push({
      Config: `blobs/${config.digest.replace(":", "/")}`,
      RepoTags: own.map(familiarName),
      Layers: layers.map(({ descriptor }) => `blobs/${descriptor.digest.replace(":", "/")}`),
    });
  }
  const text = (name: string, value: object): ArchivePart => {
    const bytes = Buffer.from(JSON.stringify(value));
    return { name, size: bytes.byteLength, open: () => [bytes] };
  };
  const head = [
    text("oci-layout", { imageLayoutVersion: "1.0.0" }),
    text("index.json", { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }),
  ];
  if (format === "docker") head.push(text("manifest.json", list));
  return [...head, ...blobs.values()];
}

/**
 * The image's own manifest when every layer is as it came, else one that lists the layers as they are here.
 */
function documentOf({ config, manifest, layers }: SavedImage): SavedImage["manifest"] {
  if (layers.every(({ original, descriptor }) => original === descriptor)) return manifest;
  const made = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: config.digest, size: config.size },
    layers: layers.map(({ descriptor: { mediaType, digest, size } }) => ({ mediaType, digest, size })),
  };
  const bytes = Buffer.from(JSON.stringify(made));
  return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes, "sha256:"), bytes };
}

/** As docker writes them: the whole name, and the tag alone, unless several images of the archive have it. */
function annotationsOf(name: string, shared: ReadonlySet<string>): Record<string, string> {
  const tag = tagOf(name);
  return {
    "io.containerd.image.name": name,
    "org.opencontainers.image.ref.name": shared.has(tag) ? name : tag,
  };
}

function sharedTags(names: readonly string[]): Set<string> {
  const tags = names.map(tagOf);
  return new Set(tags.filter((tag, position) => tags.indexOf(tag) !== position));
}

function tagOf(name: string): string {
  return name.slice(name.lastIndexOf(":") + 1);
}

/** Without what docker adds by itself. */
function familiarName(name: string): string {
  return name.replace(/^docker\.io\/(?:library\/(?=[^/]+$))?/, "");
}
