// Cgroups through the addon.

import type { CgroupKernel } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

/** The doors of addon/binding/cgroup.cc. */
export type CgroupNative = CgroupKernel;

/** Paths beneath the cgroup2 mount; others are refused with EINVAL. Rejects with KernelError. */
export function makeCgroupKernel(native: CgroupNative): CgroupKernel {
  return {
    cgroupMount: () => native.cgroupMount().catch(rethrow),
    createCgroup: (path) => native.createCgroup(path).catch(rethrow),
    writeCgroup: (path, file, value) => native.writeCgroup(path, file, value).catch(rethrow),
    readCgroup: (path, file) => native.readCgroup(path, file).catch(rethrow),
    killCgroup: (path, timeoutMs) => native.killCgroup(path, timeoutMs).catch(rethrow),
    removeCgroup: (path) => native.removeCgroup(path).catch(rethrow),
  };
}
