// Network namespaces through the addon.

import type { NetnsKernel } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

/** The doors of addon/binding/netns.cc. */
export interface NetnsNative {
  createNetns(path: string, uidMap: string, gidMap: string): Promise<void>;
  removeNetns(path: string): Promise<void>;
  listNetns(directory: string): Promise<string[]>;
  dialLoopback(path: string, port: number, timeoutMs: number): Promise<number>;
}

/** Paths are absolute. Rejects with KernelError. */
export function makeNetnsKernel(native: NetnsNative): NetnsKernel {
  return {
    createNetns: (path, maps) => native.createNetns(path, maps?.uids ?? "", maps?.gids ?? "").catch(rethrow),
    removeNetns: (path) => native.removeNetns(path).catch(rethrow),
    listNetns: (directory) => native.listNetns(directory).catch(rethrow),
    dialLoopback: (path, port, timeoutMs) => native.dialLoopback(path, port, timeoutMs).catch(rethrow),
  };
}
