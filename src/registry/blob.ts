// A blob from one endpoint, taken up again where the connection broke.

import type { Descriptor } from "../types/oci-image.ts";
import { badContent, RegistryFailure } from "./failure.ts";
import { Retries } from "./retry.ts";
import type { HttpResponse, Timings } from "./transport.ts";

/** So much in one go makes earlier failures forgotten. */
const progressBytes = 1024 * 1024;

/** The bytes of a blob from `first` on. `open` asks for them from an offset. */
export async function* blobChunks(
  open: (first: number) => Promise<HttpResponse>,
  descriptor: Descriptor,
  first: number,
  timings: Timings,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const retries = new Retries(timings, signal);
  let offset = first;
  for (;;) {
    const start = offset;
    try {
      const response = await open(offset);
      for await (const chunk of sizedChunks(response, descriptor, offset)) {
        offset += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      // Broken after the last byte: nothing is missing.
      if (offset > 0 && offset === descriptor.size && !isLie(error)) return;
      if (offset - start >= progressBytes) retries.progressed();
      await retries.after(error);
    }
  }
}

/** The rest of the blob out of a whole (200) or partial (206) answer; its length is checked. */
async function* sizedChunks(
  response: HttpResponse,
  descriptor: Descriptor,
  offset: number,
): AsyncGenerator<Uint8Array> {
  const { size, digest } = descriptor;
  const begin = await beginOf(response, descriptor, offset);
  let at = begin;
  for await (const chunk of response.chunks()) {
    at += chunk.byteLength;
    if (at > size) {
      throw badContent(
        `blob "${digest}": "${response.url.origin}" sends at least ${at} bytes, its manifest says ${size}`,
      );
    }
    const fresh = at - offset;
    if (fresh <= 0) continue;
    yield fresh >= chunk.byteLength ? chunk : chunk.subarray(chunk.byteLength - fresh);
  }
  if (at < size) {
    throw badContent(
      `blob "${digest}": "${response.url.origin}" sent ${at} bytes, its manifest says ${size}`,
    );
  }
}

/** The offset of the first byte of the answer. A registry without ranges sends all of it again. */
async function beginOf(response: HttpResponse, descriptor: Descriptor, offset: number): Promise<number> {
  const { size, digest } = descriptor;
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.header("content-range") ?? "");
  const begin = response.status === 206 ? Number(range?.[1] ?? Number.NaN) : 0;
  const total = range?.[2] ?? "*";
  if (response.status === 206 && (begin !== offset || (total !== "*" && Number(total) !== size))) {
    await response.discard();
    throw new RegistryFailure(
      "DATA_LOSS",
      `blob "${digest}": "${response.url.origin}" answers another range than bytes ${offset} to ${size}`,
    );
  }
  const length = response.header("content-length");
  if (length !== undefined && begin + Number(length) !== size) {
    await response.discard();
    const has = begin + Number(length);
    throw badContent(
      `blob "${digest}": "${response.url.origin}" has ${has} bytes, its manifest says ${size}`,
    );
  }
  return begin;
}

function isLie(error: unknown): boolean {
  return error instanceof RegistryFailure && error.code === "DATA_LOSS";
}
