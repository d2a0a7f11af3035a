// Work that goes on when its caller leaves: a client's deadline must never leave half a pod behind, and
// the client's next try finds the work still running and joins it.

import type { Call } from "./call.ts";
import { throwIfAborted } from "./call.ts";
import type { SingleFlight } from "./single-flight.ts";

/**
 * Runs `work` under `key` to its end, or joins the run in progress. The caller alone is released when
 * its signal aborts (CANCELLED, or the signal's BerthError). `work` gets a call that never aborts.
 */
export function outlive<T>(
  call: Call,
  flight: SingleFlight<T>,
  key: string,
  doing: string,
  work: (own: Call) => Promise<T>,
): Promise<T> {
  const own: Call = {
    signal: new AbortController().signal,
    log: call.log,
    observeStep: call.observeStep,
  };
  return unlessAborted(
    call,
    doing,
    flight.run(key, () => work(own)),
  );
}

/**
 * Waits for `promise`, or throws as soon as the call is aborted; the promise's own failure is then nobody's.
 */
export async function unlessAborted<T>(call: Call, doing: string, promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  throwIfAborted(call, doing);
  let leave: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    leave = () => {
      try {
        throwIfAborted(call, doing);
      } catch (error) {
        reject(error);
      }
    };
    call.signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (leave !== undefined) call.signal.removeEventListener("abort", leave);
  }
}
