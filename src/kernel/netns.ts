// Network namespaces through the addon.

import { KernelError } from "../lib/errors.ts";
import type { NetnsKernel } from "./kernel.ts";

/** The doors of addon/binding/netns.cc. */
export interface NetnsNative {
  createNetns(path: string): Promise<void>;
  removeNetns(path: string): Promise<void>;
  listNetns(directory: string): Promise<string[]>;
}

/** Paths are absolute. Rejects with KernelError. */
export function makeNetnsKernel(native: NetnsNative): NetnsKernel {
  return {
    createNetns: (path) => native.createNetns(path).catch(rethrow),
    removeNetns: (path) => native.removeNetns(path).catch(rethrow),
    listNetns: (directory) => native.listNetns(directory).catch(rethrow),
  };
}

/** The addon rejects with {step, errno, path} (addon/binding/translate.cc). */
function rethrow(error: { step?: unknown; errno?: unknown; path?: unknown }): never {
  if (typeof error.step === "string" && typeof error.errno === "string" && typeof error.path === "string") {
    throw new KernelError(error.step, error.errno, error.path);
  }
  throw error;
}
