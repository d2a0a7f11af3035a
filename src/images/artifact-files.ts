// What the blobs of an artifact become: each one file with the blob's bytes, in a layer of its own. Titles
// come from whoever pushed it, and decide where a file lies that containers read: whatever could mean two
// things, or lie elsewhere, is refused.

import { createHash } from "node:crypto";
import { BerthError } from "../lib/errors.ts";
import { printable } from "../registry/failure.ts";
import type { Digest } from "../types/ids.ts";
import { annotationKeys, type Descriptor, type ImageManifest, mediaTypes } from "../types/oci-image.ts";
import type { LayerSource } from "./read-image.ts";

const maxTitleBytes = 1024;
const maxNameBytes = 255;
/** Seconds that the header of a tar can hold. */
const maxSeconds = 2 ** 33 - 1;

const imageConfigTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];

/**
 * The type of the artifact that the manifest describes, "" when it is an image (image-spec, manifest.md,
 * "Guidelines for Artifact Usage"): its artifactType, else the type of its config when that is no image's.
 */
export function artifactTypeOf(manifest: ImageManifest): string {
  const told = manifest.artifactType ?? "";
  if (told !== "") return told;
  return imageConfigTypes.includes(manifest.config.mediaType) ? "" : manifest.config.mediaType;
}

/**
 * The files of an artifact, one for each of its blobs and in their order. DATA_LOSS for a title that is no
 * relative path or means the place of another file; UNIMPLEMENTED for one that a layer cannot hold.
 */
export function filesOfArtifact({ layers }: ImageManifest, what: string): LayerSource[] {
  const byName = new Map<string, LayerSource>();
  const files = layers.map((descriptor) => {
    const name = nameOf(descriptor, what);
    const other = byName.get(name);
    if (other === undefined) {
      const file = fileOf(descriptor, name);
      byName.set(name, file);
      return file;
    }
    if (other.descriptor.digest === descriptor.digest) return other;
    throw refusal(what, descriptor, name, `blob "${other.descriptor.digest}" has the same`);
  });
  for (const [name, { descriptor }] of byName) {
    for (let end = name.indexOf("/"); end >= 0; end = name.indexOf("/", end + 1)) {
      const above = byName.get(name.slice(0, end));
      if (above === undefined) continue;
      const why = `it lies below the file of blob "${above.descriptor.digest}"`;
      throw refusal(what, descriptor, name, why);
    }
  }
  return files;
}

function fileOf(descriptor: Descriptor, name: string): LayerSource {
  const mtime = timeOf(descriptor.annotations?.[annotationKeys.created] ?? "");
  const { digest, size } = descriptor;
  return { descriptor, diffId: keyOf(digest, name, mtime), file: { name, size, mtime } };
}

/**
 * Stands for the diff ID, which nobody knows before the blob is here: the same blob under the same name and
 * time is the same layer.
 */
function keyOf(digest: Digest, name: string, mtime: number): Digest {
  const text = JSON.stringify(["artifact file", digest, name, mtime]);
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** An empty title is none, as for the tools that write them. */
function nameOf(descriptor: Descriptor, what: string): string {
  const title = descriptor.annotations?.[annotationKeys.title] ?? "";
  if (title === "") return descriptor.digest.replace(":", "-");
  const refuse = (why: string, code?: RefusalCode) => refusal(what, descriptor, title, why, code);
  // A lone surrogate has no bytes of its own: two such names would be one.
  if (!title.isWellFormed() || /[\u0000-\u001f\u007f]/.test(title)) {
    throw refuse("it has control characters, or is no Unicode text");
  }
  if (title.startsWith("/")) throw refuse("it is absolute");
  if (Buffer.byteLength(title) > maxTitleBytes) throw refuse(`it is longer than ${maxTitleBytes} bytes`);
  const parts = title.split("/").filter((part, position) => part !== "." || position > 0);
  for (const part of parts) {
    if (part === "" || part === "." || part === "..") throw refuse(`"${part}" is no name of a file`);
    if (Buffer.byteLength(part) > maxNameBytes) {
      throw refuse(`a part of it is longer than ${maxNameBytes} bytes`);
    }
    if (part.startsWith(".wh.")) {
      throw refuse('names that begin with ".wh." mean removals in layers', "UNIMPLEMENTED");
    }
  }
  if (parts.length === 0) throw refuse("it names no file");
  return parts.join("/");
}

type RefusalCode = "DATA_LOSS" | "UNIMPLEMENTED";

function refusal(
  what: string,
  { digest }: Descriptor,
  title: string,
  why: string,
  code: RefusalCode = "DATA_LOSS",
): BerthError {
  return new BerthError(code, `use ${what}: the title "${printable(title)}" of blob "${digest}": ${why}`);
}

/**
 * Seconds since the epoch. Only the blob's own date counts: with the manifest's, which every push sets anew,
 * no two versions of an artifact would share a file. 0 for what is no date (RFC 3339) or none that fits.
 */
function timeOf(created: string): number {
  const isDate = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/.test(created);
  const seconds = isDate ? Math.floor(Date.parse(created) / 1000) : 0;
  return seconds >= 0 && seconds <= maxSeconds ? seconds : 0;
}
