// Where an image's content comes from: a registry or an archive. Whoever reads checks the digests.

import type { ByteSink } from "../lib/byte-sink.ts";
import type { BlobRequest } from "../registry/client.ts";
import type { Digest } from "../types/ids.ts";
import type { Descriptor } from "../types/oci-image.ts";

export interface ContentSource {
  /** A manifest or index by digest, at most `maxBytes` long. */
  manifest(descriptor: Descriptor, maxBytes: number, signal: AbortSignal): Promise<Uint8Array>;
  /** A blob into `sink`, from `first` on to the end at exactly `descriptor.size` bytes. */
  pour(descriptor: Descriptor, sink: ByteSink, signal: AbortSignal, options?: BlobRequest): Promise<void>;
  /** Whether what has come of a blob is worth keeping for another try. */
  readonly isRemote: boolean;
}

/** The manifest or index that an image's name stands for. */
export interface RootManifest {
  readonly digest: Digest;
  /** "" when unknown. */
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}
