// What the addon rejects with or throws, {step, errno, path} of addon/binding/translate.cc, as KernelError.

import { KernelError } from "../lib/errors.ts";

/** Anything else, such as the TypeError of a wrong argument, is thrown as it is. */
export function rethrow(error: unknown): never {
  const { step, errno, path } = (error ?? {}) as { step?: unknown; errno?: unknown; path?: unknown };
  if (typeof step === "string" && typeof errno === "string" && typeof path === "string") {
    throw new KernelError(step, errno, path);
  }
  throw error;
}
