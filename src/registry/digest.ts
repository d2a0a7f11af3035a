// Digests of content that is in memory.

import { hash } from "node:crypto";
import type { Digest } from "../types/ids.ts";

/** The digest of `bytes` with the algorithm of `like`: "sha512:…", or else sha256. */
export function digestOf(bytes: Uint8Array, like: string): Digest {
  const algorithm = like.startsWith("sha512:") ? "sha512" : "sha256";
  return `${algorithm}:${hash(algorithm, bytes, "hex")}`;
}
