/**
 * Gives the memory of a piece of a stream back at once instead of at some collection, which comes late for
 * what lies outside of JavaScript's heap. Only for the one holder of the piece: it is empty afterwards. A
 * piece that shares its memory with others is left alone.
 */
export function releaseBuffer(piece: Uint8Array): void {
  const { buffer } = piece;
  const isWhole = piece.byteLength > 0 && piece.byteLength === buffer.byteLength;
  if (!isWhole || !(buffer instanceof ArrayBuffer)) return;
  buffer.transfer(0);
}
