// What the host can do, through the addon.

import type { HostKernel } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

/** The door of addon/binding/host.cc. */
export type HostNative = HostKernel;

/** Rejects with KernelError: ENODEV when no cgroup2 file system is mounted. */
export function makeHostKernel(native: HostNative): HostKernel {
  return {
    hostFacts: () => native.hostFacts().catch(rethrow),
    releaseMemory: () => native.releaseMemory().catch(rethrow),
    probeUserNamespaces: (directory) => native.probeUserNamespaces(directory).catch(rethrow),
  };
}
