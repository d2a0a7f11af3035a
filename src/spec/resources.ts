// LinuxResources as writes to cgroup v2 interface files (kernel, admin-guide/cgroup-v2).

import { BerthError } from "../lib/errors.ts";
import type { LinuxResources } from "../types/pod.ts";
import type { CgroupWrite } from "./inputs.ts";

const DEFAULT_PERIOD = 100_000;

/**
 * Writes for a container's or pod's cgroup, in the order in which they must be made; `unified` comes last
 * and so has the last word. Zero and empty fields mean "unchanged". INVALID_ARGUMENT for values that no
 * kernel takes.
 */
export function cgroupWrites(resources: LinuxResources): CgroupWrite[] {
  const writes = [
    ...cpuWrites(resources),
    ...memoryWrites(resources),
    ...cpusetWrites(resources),
    ...hugepageWrites(resources),
  ];
  for (const [file, value] of Object.entries(resources.unified)) writes.push(unifiedWrite(file, value));
  return writes;
}

/** Controllers that `writes` need and `available` (cgroup.controllers) lacks, sorted. */
export function missingControllers(writes: readonly CgroupWrite[], available: readonly string[]): string[] {
  const missing = writes.map((write) => write.controller).filter((name) => !available.includes(name));
  return [...new Set(missing)].filter((name) => name !== "").sort();
}

/** 2…262144 shares to 1…10000 weight, linear, as OCI runtimes agreed on. */
export function cpuWeight(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

function cpuWrites({ cpuShares, cpuQuota, cpuPeriod }: LinuxResources): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  if (checked(cpuShares, 0, "cpu_shares") > 0) writes.push(write("cpu.weight", String(cpuWeight(cpuShares))));
  const period = checked(cpuPeriod, 0, "cpu_period") || DEFAULT_PERIOD;
  checked(cpuQuota, -1, "cpu_quota");
  if (cpuQuota > 0) writes.push(write("cpu.max", `${cpuQuota} ${period}`));
  else if (cpuQuota < 0 || cpuPeriod > 0) writes.push(write("cpu.max", `max ${period}`));
  return writes;
}

/** The CRI's swap limit includes memory; the kernel's does not. -1 is unlimited. */
function memoryWrites({ memoryLimitBytes, memorySwapLimitBytes }: LinuxResources): CgroupWrite[] {
  const memory = checked(memoryLimitBytes, -1, "memory_limit_in_bytes");
  const swap = checked(memorySwapLimitBytes, -1, "memory_swap_limit_in_bytes");
  const writes: CgroupWrite[] = [];
  if (swap > 0 && memory <= 0) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `memory_swap_limit_in_bytes ${swap}: needs memory_limit_in_bytes, which it includes`,
    );
  }
  if (swap > 0 && swap < memory) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `memory_swap_limit_in_bytes ${swap}: includes memory, so it must be at least ${memory}`,
    );
  }
  if (swap === -1) writes.push(write("memory.swap.max", "max"));
  else if (swap > 0) writes.push(write("memory.swap.max", String(swap - memory)));
  if (memory !== 0) writes.push(write("memory.max", memory === -1 ? "max" : String(memory)));
  return writes;
}

function cpusetWrites({ cpusetCpus, cpusetMems }: LinuxResources): CgroupWrite[] {
  const lists: [string, string][] = [
    ["cpuset.cpus", cpusetCpus],
    ["cpuset.mems", cpusetMems],
  ];
  return lists
    .filter(([, list]) => list !== "")
    .map(([file, list]) => {
      if (/^[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*$/.test(list)) return write(file, list);
      throw new BerthError(
        "INVALID_ARGUMENT",
        `${file} ${JSON.stringify(list)}: must be a list such as "0-2,7"`,
      );
    });
}

function hugepageWrites({ hugepageLimits }: LinuxResources): CgroupWrite[] {
  return hugepageLimits.map(({ pageSize, limit }) => {
    if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `huge page size ${JSON.stringify(pageSize)}: must be such as "2MB" or "1GB"`,
      );
    }
    return write(`hugetlb.${pageSize}.max`, String(checked(limit, 0, `limit of ${pageSize} pages`)));
  });
}

function unifiedWrite(file: string, value: string): CgroupWrite {
  // A dot keeps it an interface file, no slash keeps it in this cgroup.
  if (!/^[a-z_]+(?:\.[A-Za-z0-9_-]+)+$/.test(file) || /[\0\n]/.test(value.trimEnd())) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `unified ${JSON.stringify(file)}: must name an interface file such as "memory.high" and hold one line`,
    );
  }
  const membership = ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"];
  if (membership.includes(file) || file === "cgroup.subtree_control") {
    throw new BerthError("INVALID_ARGUMENT", `unified "${file}": belongs to the engine`);
  }
  return write(file, value.trimEnd());
}

/** "cgroup" is the core: its files exist in every cgroup. */
function write(file: string, value: string): CgroupWrite {
  const controller = file.slice(0, file.indexOf("."));
  return { file, value, controller: controller === "cgroup" ? "" : controller };
}

function checked(value: number, least: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new BerthError("INVALID_ARGUMENT", `${what} ${value}: must be a whole number of at least ${least}`);
}
