// The resize channel: JSON objects {"Width": columns, "Height": rows}, one after the other.

import type { Readable } from "node:stream";

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Longer than any of these objects. */
const MAX_BYTES = 1024;
const MAX_SIZE = 0xffff;

/** The sizes that come on a channel: the latest one counts. */
export class TerminalSizes {
  readonly #first = Promise.withResolvers<void>();
  #latest: TerminalSize | undefined;
  #onSize: ((size: TerminalSize) => void) | undefined;

  constructor(channel: Readable) {
    const reader = new TerminalSizeReader();
    channel.on("data", (chunk: Buffer) => {
      for (const size of reader.push(chunk)) this.#take(size);
    });
    channel.on("close", this.#first.resolve);
  }

  #take(size: TerminalSize): void {
    this.#latest = size;
    this.#first.resolve();
    this.#onSize?.(size);
  }

  /** Waits at most `timeoutMs` for the first one. */
  async first(timeoutMs: number): Promise<TerminalSize | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.#first.promise, late]);
    clearTimeout(timer);
    return this.#latest;
  }

  /** Calls `onSize` with the latest size and with every one that follows. */
  follow(onSize: (size: TerminalSize) => void): void {
    this.#onSize = onSize;
    if (this.#latest !== undefined) onSize(this.#latest);
  }
}

/** Reads the objects off a stream of chunks that are cut anywhere. What is none is skipped. */
export class TerminalSizeReader {
  #text = "";

  push(chunk: Buffer): TerminalSize[] {
    const sizes: TerminalSize[] = [];
    this.#text += chunk.toString("latin1");
    for (let end = this.#text.indexOf("}"); end >= 0; end = this.#text.indexOf("}")) {
      const size = parse(this.#text.slice(0, end + 1));
      this.#text = this.#text.slice(end + 1);
      if (size !== null) sizes.push(size);
    }
    if (this.#text.length > MAX_BYTES) this.#text = "";
    return sizes;
  }
}

function parse(text: string): TerminalSize | null {
  let value: unknown;
  try {
    value = JSON.parse(text.slice(Math.max(text.lastIndexOf("{"), 0)));
  } catch {
    // A client that sends anything else there has lost its place: the next object may be whole again.
    return null;
  }
  const { Width: columns, Height: rows } = value as { Width?: unknown; Height?: unknown };
  return isSize(rows) && isSize(columns) ? { rows, columns } : null;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= MAX_SIZE;
}
