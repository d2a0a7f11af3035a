// What every verb takes beside its subject: who asked, until when, and where to log.

import { BerthError } from "./errors.ts";

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Told of each named step of a verb before and after it runs, and waited for: crash tests stop the daemon
 * here, others make it slow.
 */
export type StepObserver = (verb: string, step: string, when: "before" | "after") => Promise<void> | void;

export interface Call {
  /** Aborted when the client went away or its deadline passed. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly observeStep: StepObserver;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A call that nobody waits for: the daemon's own work. */
export function backgroundCall(log: Logger = silentLogger, observeStep: StepObserver = () => {}): Call {
  return { signal: new AbortController().signal, log, observeStep };
}

export function throwIfAborted(call: Call, doing: string): void {
  if (!call.signal.aborted) return;
  const reason = call.signal.reason;
  if (reason instanceof BerthError) throw reason;
  throw new BerthError("CANCELLED", `${doing}: the client went away`);
}
