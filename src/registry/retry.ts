// Tries again what may succeed in a moment.

import { setTimeout as sleep } from "node:timers/promises";
import { RegistryFailure } from "./failure.ts";
import type { Timings } from "./transport.ts";

export class Retries {
  readonly #timings: Timings;
  readonly #signal: AbortSignal;
  #failed = 0;

  constructor(timings: Timings, signal: AbortSignal) {
    this.#timings = timings;
    this.#signal = signal;
  }

  /** Waits before another try; throws `error` itself when there is none to make. */
  async after(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    if (!(error instanceof RegistryFailure) || !error.retryable) throw error;
    if (this.#failed >= this.#timings.retries) throw error;
    const asked = error.retryAfterMs ?? 0;
    if (asked > this.#timings.maxRetryAfterMs) throw error;
    const backoff = this.#timings.retryBaseMs * 2 ** this.#failed * (0.75 + Math.random() / 2);
    this.#failed++;
    await sleep(Math.max(asked, backoff), undefined, { signal: this.#signal }).catch(() => {
      this.#signal.throwIfAborted();
    });
  }

  /** Enough was gained that earlier failures no longer count. */
  progressed(): void {
    this.#failed = 0;
  }
}

/** Runs `attempt` until it succeeds or fails for good. */
export async function withRetries<T>(
  timings: Timings,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  const retries = new Retries(timings, signal);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await retries.after(error);
    }
  }
}

/** Retry-After in milliseconds: seconds, or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header.trim()) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
