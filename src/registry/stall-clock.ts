// Tells a transfer that has come to a halt, or nearly so, from one whose bytes we are slow to unpack.

import type { Timings } from "./transport.ts";

/**
 * Counts the time spent waiting for bytes; the time in which we unpack them is ours. Calls `stalled` once,
 * when fewer than `stallBytes` have come in `stallMs` of waiting. Waiting begins at once.
 */
export class StallClock {
  readonly #timings: Timings;
  readonly #stalled: () => void;
  #waited = 0;
  /** Since when we wait; undefined while we do not. */
  #since: number | undefined = performance.now();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(timings: Timings, stalled: () => void) {
    this.#timings = timings;
    this.#stalled = stalled;
    this.#arm();
  }

  received(bytes: number): void {
    this.#count();
    this.#bytes += bytes;
    if (this.#bytes < this.#timings.stallBytes) return;
    this.#bytes = 0;
    this.#waited = 0;
  }

  /** The other side is not to blame for what follows. */
  pause(): void {
    this.#count();
    this.#since = undefined;
  }

  resume(): void {
    this.#since = performance.now();
    if (this.#timer === undefined) this.#arm();
  }

  stop(): void {
    this.#since = undefined;
    clearTimeout(this.#timer);
  }

  #count(): void {
    if (this.#since === undefined) return;
    const now = performance.now();
    this.#waited += now - this.#since;
    this.#since = now;
  }

  /** One timer that looks again, not one for each piece. */
  #arm(): void {
    const left = Math.max(1, this.#timings.stallMs - this.#waited);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#since === undefined) return;
      this.#count();
      if (this.#waited >= this.#timings.stallMs) this.#stalled();
      else this.#arm();
    }, left);
  }
}
