// One running operation per key: a second caller joins the first instead of starting another.

export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  /** Runs `work` for `key`, or joins the run in progress. */
  run(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => {
      if (this.#running.get(key) === started) this.#running.delete(key);
    });
    this.#running.set(key, started);
    return started;
  }

  has(key: string): boolean {
    return this.#running.has(key);
  }

  /** The run in progress, or undefined. */
  join(key: string): Promise<T> | undefined {
    return this.#running.get(key);
  }
}

/** Runs work one at a time per key, in order of arrival. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const previous = this.#tails.get(key) ?? Promise.resolve();
    const current = previous.then(work, work);
    this.#tails.set(key, current);
    try {
      return await current;
    } finally {
      if (this.#tails.get(key) === current) this.#tails.delete(key);
    }
  }
}

/** As SingleFlight, for callers that may go away before the work is done. */
export class SharedFlight<T> {
  readonly #running = new Map<string, Flight<T>>();

  /**
   * Runs `work` for `key`, or joins the run in progress. The work's signal aborts when the last caller's
   * has. A caller that leaves while others stay is rejected at once with its signal's reason; the last one
   * is rejected after the work has stopped, so that nothing runs on behind its back.
   */
  async join(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const flight = this.#board(key, work);
    flight.callers++;
    const left = Promise.withResolvers<never>();
    const leave = () => {
      flight.callers--;
      if (flight.callers > 0) left.reject(signal.reason);
      else this.#cancel(key, flight, signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([flight.result, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  has(key: string): boolean {
    return this.#running.has(key);
  }

  #board(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const controller = new AbortController();
    const flight: Flight<T> = { controller, callers: 0, result: work(controller.signal) };
    this.#running.set(key, flight);
    const land = () => {
      if (this.#running.get(key) === flight) this.#running.delete(key);
    };
    flight.result.then(land, land);
    return flight;
  }

  /** A flight being stopped takes nobody on board any more: the next caller starts another. */
  #cancel(key: string, flight: Flight<T>, reason: unknown): void {
    if (this.#running.get(key) === flight) this.#running.delete(key);
    flight.controller.abort(reason);
  }
}

interface Flight<T> {
  readonly controller: AbortController;
  readonly result: Promise<T>;
  callers: number;
}
