// Bytes handed on piece by piece without a promise for each: a 64 KiB piece is unpacked faster than a chain
// of asynchronous generators turns.

/**
 * Takes a piece, which belongs to it from then on. Returns a promise when the next piece has to wait for it.
 * What it throws, or rejects with, ends the transfer.
 */
export type ByteSink = (piece: Uint8Array) => Promise<void> | undefined;

/** All of `pieces` into `sink`. */
export async function pourAll(pieces: AsyncIterable<Uint8Array>, sink: ByteSink): Promise<void> {
  for await (const piece of pieces) await sink(piece);
}
