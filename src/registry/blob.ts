// A blob from one endpoint, taken up again where the connection broke.

import type { Descriptor } from "../types/oci-image.ts";
import { badContent, RegistryFailure } from "./failure.ts";
import { Retries } from "./retry.ts";
import type { HttpResponse, Timings } from "./transport.ts";

/** So much in one go makes earlier failures forgotten. */
const progressBytes = 1024 * 1024;

/** Told of what becomes of the transfer. */
export interface BlobTransfer {
  connected(): void;
  broken(error: unknown): void;
}

/** The bytes of a blob from `first` on. `open` asks for them from an offset. */
export async function* blobChunks(
  open: (first: number) => Promise<HttpResponse>,
  descriptor: Descriptor,
  first: number,
  timings: Timings,
  signal: AbortSignal,
  transfer: BlobTransfer,
): AsyncGenerator<Uint8Array> {
  const retries = new Retries(timings, signal);
  let offset = first;
  let ranges = true;
  // Nothing is missing, and there is no range after the end.
  if (first > 0 && first === descriptor.size) return;
  for (;;) {
    const start = offset;
    try {
      const response = await open(ranges ? offset : 0);
      transfer.connected();
      for await (const chunk of sizedChunks(response, descriptor, ranges ? offset : 0, offset)) {
        offset += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      // Broken after the last byte: nothing is missing.
      if (offset > first && offset === descriptor.size && !isLie(error)) return;
      if (error instanceof RangeFailure && ranges) {
        // Whatever it makes of ranges: without one, what we have already is skipped.
        ranges = false;
        continue;
      }
      if (offset - start >= progressBytes) retries.progressed();
      await retries.after(error);
      transfer.broken(error);
    }
  }
}

/** The registry answers another range than the one asked for. */
class RangeFailure extends RegistryFailure {}

/** The rest of the blob out of a whole (200) or partial (206) answer; its length is checked. */
async function* sizedChunks(
  response: HttpResponse,
  descriptor: Descriptor,
  asked: number,
  offset: number,
): AsyncGenerator<Uint8Array> {
  const { size, digest } = descriptor;
  const begin = await beginOf(response, descriptor, asked);
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
async function beginOf(response: HttpResponse, descriptor: Descriptor, asked: number): Promise<number> {
  const { size, digest } = descriptor;
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.header("content-range") ?? "");
  if (response.status === 416) {
    await response.discard();
    throw new RangeFailure("DATA_LOSS", `blob "${digest}": "${response.url.origin}" has no such range`);
  }
  const begin = response.status === 206 ? Number(range?.[1] ?? Number.NaN) : 0;
  const total = range?.[2] ?? "*";
  if (response.status === 206 && (begin !== asked || (total !== "*" && Number(total) !== size))) {
    await response.discard();
    throw new RangeFailure(
      "DATA_LOSS",
      `blob "${digest}": "${response.url.origin}" answers another range than bytes ${asked} to ${size}`,
    );
  }
  const length = response.header("content-length");
  if (length !== undefined && begin + Number(length) !== size) {
    await response.discard();
    if (asked > 0) throw new RangeFailure("DATA_LOSS", `blob "${digest}": the length of a part is wrong`);
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
