// Cgroups through the addon.

import type { CgroupKernel, DeviceRule } from "./kernel.ts";
import { rethrow } from "./native-error.ts";

/** The doors of addon/binding/cgroup.cc. */
export interface CgroupNative extends Omit<CgroupKernel, "attachDeviceFilter"> {
  attachDeviceFilter(path: string, rules: Int32Array): Promise<void>;
}

/** BPF_DEVCG_ACC_* (linux/bpf.h). */
const ACCESS = { m: 1, r: 2, w: 4 } as const;
const ANY = -1;

/** Paths beneath the cgroup2 mount; others are refused with EINVAL. Rejects with KernelError. */
export function makeCgroupKernel(native: CgroupNative): CgroupKernel {
  return {
    cgroupMount: () => native.cgroupMount().catch(rethrow),
    createCgroup: (path) => native.createCgroup(path).catch(rethrow),
    writeCgroup: (path, file, value) => native.writeCgroup(path, file, value).catch(rethrow),
    readCgroup: (path, file) => native.readCgroup(path, file).catch(rethrow),
    attachDeviceFilter: (path, rules) =>
      native.attachDeviceFilter(path, Int32Array.from(rules.flatMap(numbersOf))).catch(rethrow),
    killCgroup: (path, timeoutMs) => native.killCgroup(path, timeoutMs).catch(rethrow),
    setOomScore: (path, value, clamp) => native.setOomScore(path, value, clamp).catch(rethrow),
    destroyCgroup: (path, timeoutMs) => native.destroyCgroup(path, timeoutMs).catch(rethrow),
  };
}

function numbersOf({ type, major, minor, access }: DeviceRule): number[] {
  const bits = (["m", "r", "w"] as const).filter((letter) => access.includes(letter));
  const mask = bits.reduce((sum, letter) => sum | ACCESS[letter], 0);
  return [type.charCodeAt(0), major ?? ANY, minor ?? ANY, mask];
}
