// Errors of verbs as gRPC statuses. The errno of a failed system call travels in the metadata, so that
// a client can tell "no such program" from "not executable" without reading the message.

import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { codeOf, KernelError, messageOf } from "../lib/errors.ts";

/** Metadata key of the symbolic errno ("ENOENT") of the system call that failed. */
export const ERRNO_KEY = "berth-errno";
/** Metadata key of the primitive that failed ("execve"). */
export const STEP_KEY = "berth-step";

/** The status of `error`: its code, its message once, and the failed system call when there is one. */
export function serviceError(error: unknown): ServiceError {
  const code = status[codeOf(error)];
  const metadata = new Metadata();
  const kernel = kernelErrorOf(error);
  if (kernel !== undefined) {
    metadata.set(ERRNO_KEY, kernel.errno);
    metadata.set(STEP_KEY, kernel.step);
  }
  const details = messageOf(error);
  return Object.assign(new Error(details), { code, details, metadata });
}

function kernelErrorOf(error: unknown): KernelError | undefined {
  let cause = error;
  // Causes are made by hand: a bound keeps a ring from hanging the daemon.
  for (let depth = 0; depth < 16 && cause instanceof Error; depth++) {
    if (cause instanceof KernelError) return cause;
    cause = cause.cause;
  }
  return undefined;
}
