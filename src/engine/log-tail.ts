// Where the last lines of a log file begin, found from its end.

import type { FileHandle } from "node:fs/promises";
import { parseLogLine } from "./log-line.ts";

const BLOCK = 64 * 1024;
const LINE_FEED = 0x0a;
/** Enough of a line to know its tag. */
const HEAD = 160;

/**
 * Offset at which the last `count` lines begin. A line in parts counts once; what follows the last line
 * feed counts as none.
 */
export async function tailOffset(file: FileHandle, size: number, count: number): Promise<number> {
  if (count === 0) return size;
  const counter = new Counter(count);
  const block = Buffer.alloc(BLOCK);
  // Beginning of the line of which the block read last holds only the end.
  let head = Buffer.alloc(0);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - BLOCK);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    // The file shrank meanwhile: everything in it is new.
    if (bytesRead < end - start) return 0;
    let lineEnd = end - start;
    for (let at = lineEnd - 1; at >= 0; at--) {
      if (block[at] !== LINE_FEED) continue;
      const rest = lineEnd === end - start ? head : Buffer.alloc(0);
      const found = counter.line(start + at + 1, headOf(block.subarray(at + 1, lineEnd), rest));
      if (found !== null) return found;
      lineEnd = at;
    }
    head = Buffer.from(headOf(block.subarray(0, lineEnd), lineEnd === end - start ? head : Buffer.alloc(0)));
    end = start;
  }
  return counter.line(0, head) ?? 0;
}

function headOf(beginning: Buffer, rest: Buffer): Buffer {
  return beginning.length >= HEAD
    ? beginning.subarray(0, HEAD)
    : Buffer.concat([beginning, rest]).subarray(0, HEAD);
}

/** Counts lines from the last to the first. */
class Counter {
  #missing: number;
  #next: number | null = null;

  constructor(count: number) {
    this.#missing = count;
  }

  /** Told of the line that begins at `offset`; where the wanted lines begin, once that is known. */
  line(offset: number, head: Buffer): number | null {
    const last = this.#next === null;
    const next = this.#next ?? offset;
    this.#next = offset;
    const parsed = last ? null : parseLogLine(head);
    if (parsed === null || parsed.partial) return null;
    return this.#missing-- === 0 ? next : null;
  }
}
