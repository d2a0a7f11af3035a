// News for many readers, each at its own pace. A reader that falls too far behind is cut off: the news that
// wait for it are memory of the daemon.

import { BerthError } from "./errors.ts";

/** News that may wait for one reader. */
const MOST_WAITING = 1_000;

export class EventFeed<T> {
  readonly #readers = new Set<Reader<T>>();
  #closed = false;

  /** True when somebody reads. */
  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  push(item: T): void {
    for (const reader of this.#readers) reader.add(item);
  }

  /**
   * Everything pushed from now on. Ends when the signal aborts or the feed is closed; throws
   * RESOURCE_EXHAUSTED when too much waits.
   */
  read(signal: AbortSignal): AsyncGenerator<T, void> {
    const reader = new Reader<T>();
    if (this.#closed) reader.end();
    this.#readers.add(reader);
    const end = () => {
      reader.end();
      // Whoever is gone may never have begun to read.
      this.#readers.delete(reader);
    };
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    return this.#drain(reader, () => signal.removeEventListener("abort", end));
  }

  async *#drain(reader: Reader<T>, done: () => void): AsyncGenerator<T, void> {
    try {
      for (;;) {
        const item = await reader.next();
        if (item === undefined) return;
        yield item.value;
      }
    } finally {
      this.#readers.delete(reader);
      done();
    }
  }

  /** Ends every reader, the later ones too. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.end();
  }
}

class Reader<T> {
  #waiting: T[] = [];
  #wake: () => void = () => {};
  #ended = false;
  #overrun = false;

  add(item: T): void {
    if (this.#ended) return;
    if (this.#waiting.length >= MOST_WAITING) {
      this.#overrun = true;
      this.#waiting = [];
      this.end();
      return;
    }
    this.#waiting.push(item);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async next(): Promise<{ value: T } | undefined> {
    while (this.#waiting.length === 0) {
      if (this.#overrun) {
        throw new BerthError(
          "RESOURCE_EXHAUSTED",
          `read events: more than ${MOST_WAITING} are waiting, as the client reads too slowly; ` +
            "list what there is, and subscribe again",
        );
      }
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return { value: this.#waiting.shift() as T };
  }
}
