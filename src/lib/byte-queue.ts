// Received bytes that wait until enough of them are there.

/** Takes chunks in, gives exact amounts out. Each byte is copied at most once. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The first `bytes` bytes, which are there, left in the queue. For few bytes: they may be copied. */
  peek(bytes: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= bytes) return first.subarray(0, bytes);
    // Chunks are never empty, so these bytes lie in as many of them at most.
    return Buffer.concat(this.#chunks.slice(0, bytes)).subarray(0, bytes);
  }

  /** Removes `bytes` bytes, which are there. */
  take(bytes: number): Buffer {
    if (bytes === 0) return Buffer.alloc(0);
    this.#length -= bytes;
    const first = this.#chunks[0] as Buffer;
    if (first.length >= bytes) return this.#takeFirst(first, bytes);
    const taken = Buffer.allocUnsafe(bytes);
    let filled = 0;
    let used = 0;
    while (filled < bytes) {
      const chunk = this.#chunks[used] as Buffer;
      const part = chunk.subarray(0, bytes - filled);
      part.copy(taken, filled);
      filled += part.length;
      if (part.length === chunk.length) used++;
      else this.#chunks[used] = chunk.subarray(part.length);
    }
    this.#chunks.splice(0, used);
    return taken;
  }

  /** Removes what lies in one piece, at most `most` bytes; without copying. Empty when nothing is there. */
  takePiece(most: number): Buffer {
    const first = this.#chunks[0];
    if (first === undefined) return Buffer.alloc(0);
    const bytes = Math.min(most, first.length);
    this.#length -= bytes;
    return this.#takeFirst(first, bytes);
  }

  #takeFirst(first: Buffer, bytes: number): Buffer {
    if (first.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(bytes);
    return first.subarray(0, bytes);
  }
}
