// Many may pass a gate together, or one alone: garbage collection must not see half of an ADD.

export class Gate {
  #inside = 0;
  #alone: Promise<void> | null = null;
  #empty: (() => void) | null = null;

  /** Runs `work` beside others that pass; waits for one that is alone. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone;
    this.#inside++;
    try {
      return await work();
    } finally {
      this.#inside--;
      if (this.#inside === 0) this.#empty?.();
    }
  }

  /** Runs `work` when everybody is out; whoever comes meanwhile waits. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#alone = promise;
    try {
      if (this.#inside > 0) {
        await new Promise<void>((ready) => {
          this.#empty = ready;
        });
      }
      return await work();
    } finally {
      this.#empty = null;
      this.#alone = null;
      resolve();
    }
  }
}
