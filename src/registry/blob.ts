// A blob from one endpoint, taken up again where the connection broke.

import type { ByteSink } from "../lib/byte-sink.ts";
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

/** What the taker of the bytes threw: nobody else is to be asked for them. */
export class SinkFailure extends Error {}

/** A sink whose failures are told from those of the transfer. */
export function failingApart(sink: ByteSink): ByteSink {
  const apart = (error: unknown): never => {
    throw new SinkFailure("the bytes were not taken", { cause: error });
  };
  return (piece) => {
    try {
      return sink(piece)?.catch(apart);
    } catch (error) {
      return apart(error);
    }
  };
}

/** The bytes of a blob from `first` on. `open` asks for them from an offset. */
export async function pourBlob(
  open: (first: number) => Promise<HttpResponse>,
  descriptor: Descriptor,
  first: number,
  timings: Timings,
  signal: AbortSignal,
  transfer: BlobTransfer,
  sink: ByteSink,
): Promise<void> {
  const retries = new Retries(timings, signal);
  let offset = first;
  let ranges = true;
  // Nothing is missing, and there is no range after the end.
  if (first > 0 && first === descriptor.size) return;
  const counted: ByteSink = (piece) => {
    offset += piece.byteLength;
    return sink(piece);
  };
  for (;;) {
    const start = offset;
    try {
      const response = await open(ranges ? offset : 0);
      transfer.connected();
      await pourRest(response, descriptor, ranges ? offset : 0, offset, counted);
      return;
    } catch (error) {
      if (error instanceof SinkFailure) throw error;
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
async function pourRest(
  response: HttpResponse,
  descriptor: Descriptor,
  asked: number,
  offset: number,
  sink: ByteSink,
): Promise<void> {
  const { size, digest } = descriptor;
  let at = await beginOf(response, descriptor, asked);
  await response.pour((piece) => {
    at += piece.byteLength;
    if (at > size) {
      throw badContent(
        `blob "${digest}": "${response.url.origin}" sends at least ${at} bytes, its manifest says ${size}`,
      );
    }
    const fresh = at - offset;
    if (fresh <= 0) return undefined;
    return sink(fresh >= piece.byteLength ? piece : piece.subarray(piece.byteLength - fresh));
  });
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
