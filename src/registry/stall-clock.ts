// Tells a transfer that has come to a halt, or nearly so, from one whose bytes we are slow to unpack.

import type { Timings } from "./transport.ts";

/** Counts the time spent waiting for bytes; the time in which we unpack them is ours. */
export class StallClock {
  readonly #timings: Timings;
  #waited = 0;
  #bytes = 0;

  constructor(timings: Timings) {
    this.#timings = timings;
  }

  async wait<T>(read: () => Promise<T>, stalled: () => void): Promise<T> {
    const started = performance.now();
    const timer = setTimeout(stalled, Math.max(1, this.#timings.stallMs - this.#waited));
    try {
      return await read();
    } finally {
      clearTimeout(timer);
      this.#waited += performance.now() - started;
    }
  }

  received(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.#timings.stallBytes) return;
    this.#bytes = 0;
    this.#waited = 0;
  }
}
