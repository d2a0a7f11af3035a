// Answers of List calls as bytes. On the wire a message whose only field is number 1, a list of messages, is
// the items one after the other, each behind its tag and length: so items can be encoded apart, kept, and
// put together between turns of the event loop.

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { releaseBuffer } from "./release-buffer.ts";
import { mapInTurns, nextTurn } from "./turns.ts";

/** A generated message. */
export interface Codec<Message> {
  encode(message: Message): { finish(): Uint8Array };
}

/** One item of a list, encoded. */
export type Piece = Uint8Array;

const TAG = (1 << 3) | 2;

export function encodePiece<Message>(codec: Codec<Message>, message: Message): Piece {
  return new BinaryWriter().uint32(TAG).bytes(codec.encode(message).finish()).finish();
}

/** The piece of a row that never changes: made at the first use, let go together with the row. */
export function keepPieces<Row extends object>(make: (row: Row) => Piece): (row: Row) => Piece {
  const pieces = new WeakMap<Row, Piece>();
  return (row) => {
    const known = pieces.get(row);
    if (known !== undefined) return known;
    // Out of Node's pool: a buffer of its own costs some hundred bytes more.
    const piece = Buffer.from(make(row));
    pieces.set(row, piece);
    return piece;
  };
}

/**
 * An encoded answer, still in pieces. What sends a message (grpc-js) asks it for its length, and to copy
 * itself into the frame that goes out: so megabytes are copied once, and the frame is known whose memory can
 * be given back as soon as it is sent. Otherwise it waits for a collection of garbage, which is made the
 * sooner the more of such memory there is, and stops the loop for some milliseconds.
 */
export class EncodedList {
  readonly byteLength: number;
  readonly #pieces: readonly Piece[];
  #frame: Uint8Array | null = null;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
    this.byteLength = pieces.reduce((sum, { length }) => sum + length, 0);
  }

  /** As Buffer.copy. */
  copy(frame: Uint8Array, start: number): number {
    let end = start;
    for (const piece of this.#pieces) {
      frame.set(piece, end);
      end += piece.length;
    }
    this.#frame = frame;
    return this.byteLength;
  }

  /** To be called when the frame has been sent, and by nobody who did not see to that. */
  release(): void {
    if (this.#frame !== null) releaseBuffer(this.#frame);
    this.#frame = null;
  }
}

/** The answer that lists `rows`. Resolves in a turn of its own: it is copied then. */
export async function encodeList<Row>(
  rows: Iterable<Row>,
  pieceOf: (row: Row) => Piece,
): Promise<EncodedList> {
  const answer = new EncodedList(await mapInTurns(rows, pieceOf));
  await nextTurn();
  return answer;
}

/** Rows per message of a stream: a few hundred kilobytes of containers with long annotations. */
const BATCH = 100;

/**
 * The answers of a Stream call: the list in pieces, so that no single message outgrows a client's limit. Each
 * row exactly once; nothing for an empty list.
 */
export async function* encodeBatches<Row>(
  rows: readonly Row[],
  pieceOf: (row: Row) => Piece,
): AsyncGenerator<EncodedList> {
  for (let start = 0; start < rows.length; start += BATCH) {
    yield await encodeList(rows.slice(start, start + BATCH), pieceOf);
  }
}
