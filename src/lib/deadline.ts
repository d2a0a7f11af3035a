// Bounded waiting for things that may never answer.

import { BerthError } from "./errors.ts";

/** Longest delay that setTimeout takes, in milliseconds (about 24.8 days). */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Waits at most `timeoutMs` for `promise`; then rejects with DEADLINE_EXCEEDED. The promise goes on
 * unobserved.
 */
export async function within<T>(timeoutMs: number, doing: string, promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new BerthError("DEADLINE_EXCEEDED", `${doing}: no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
