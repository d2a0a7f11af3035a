// Identifiers and units.

/** 64 lower-case hexadecimal digits. */
export type PodId = string & { readonly __brand?: "PodId" };
export type ContainerId = string & { readonly __brand?: "ContainerId" };
/**
 * Digest of the image's config blob: "sha256:" and 64 hexadecimal digits (image-spec, ImageID). Of an
 * artifact that of its manifest.
 */
export type ImageId = string & { readonly __brand?: "ImageId" };
/** "sha256:" or "sha512:" and the hexadecimal digest (image-spec, descriptor). */
export type Digest = string & { readonly __brand?: "Digest" };

/** Microseconds since the epoch: exact in a double, a thousandth of the CRI's nanoseconds. */
export type Micros = number;

/** A string each of whose characters is one byte (latin1), for data that need not be UTF-8. */
export type ByteString = string & { readonly __brand?: "ByteString" };
