// Documents of an image that are read whole, and whether they are what their descriptors say.

import { BerthError } from "../lib/errors.ts";
import { digestOf } from "../registry/digest.ts";
import { isDigest } from "../registry/reference.ts";
import type { Descriptor } from "../types/oci-image.ts";
import type { ContentSource } from "./content-source.ts";

/**
 * The bytes of a blob of at most `maxBytes`, those embedded in the descriptor if there are any
 * (descriptor.md, "Embedded Content"). DATA_LOSS when they are not what the descriptor says.
 */
export async function readSmallBlob(
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
  if (descriptor.data != null) {
    const embedded = Buffer.from(descriptor.data, "base64");
    checkBytes(descriptor, embedded, `${what} (embedded in its descriptor)`);
    return embedded;
  }
  const pieces: Uint8Array[] = [];
  const take = (piece: Uint8Array) => void pieces.push(piece);
  await source.pour(descriptor, take, signal);
  const bytes = Buffer.concat(pieces);
  checkBytes(descriptor, bytes, what);
  return bytes;
}

export function checkBytes(descriptor: Descriptor, bytes: Uint8Array, what: string): void {
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

/** Documents may name digests of any algorithm; what is used has to be one that can be computed. */
export function checkDigest({ digest }: Descriptor, what: string): void {
  if (isDigest(digest)) return;
  throw new BerthError("UNIMPLEMENTED", `use ${what}: "${digest}" is not a sha256 or sha512 digest`);
}
