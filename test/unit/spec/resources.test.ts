import { describe, expect, test } from "vitest";
import { cgroupWrites, cpuWeight, missingControllers } from "../../../src/spec/resources.ts";
import { type LinuxResources, NO_RESOURCES } from "../../../src/types/pod.ts";

function written(resources: Partial<LinuxResources>): string[] {
  return cgroupWrites({ ...NO_RESOURCES, ...resources }).map(({ file, value }) => `${file}=${value}`);
}

test.each([
  ["nothing", {}, []],
  ["shares", { cpuShares: 1024 }, ["cpu.weight=39"]],
  ["quota", { cpuQuota: 50_000 }, ["cpu.max=50000 100000"]],
  ["quota and period", { cpuQuota: 5000, cpuPeriod: 10_000 }, ["cpu.max=5000 10000"]],
  ["period alone", { cpuPeriod: 10_000 }, ["cpu.max=max 10000"]],
  ["no quota any more", { cpuQuota: -1 }, ["cpu.max=max 100000"]],
  ["memory", { memoryLimitBytes: 1024 }, ["memory.max=1024"]],
  ["memory without limit", { memoryLimitBytes: -1 }, ["memory.max=max"]],
  [
    "swap includes memory",
    { memoryLimitBytes: 10, memorySwapLimitBytes: 15 },
    ["memory.swap.max=5", "memory.max=10"],
  ],
  ["no swap", { memoryLimitBytes: 10, memorySwapLimitBytes: 10 }, ["memory.swap.max=0", "memory.max=10"]],
  ["unlimited swap", { memorySwapLimitBytes: -1 }, ["memory.swap.max=max"]],
  ["cpus", { cpusetCpus: "0-2,7", cpusetMems: "0" }, ["cpuset.cpus=0-2,7", "cpuset.mems=0"]],
  ["huge pages", { hugepageLimits: [{ pageSize: "2MB", limit: 4096 }] }, ["hugetlb.2MB.max=4096"]],
  [
    "unified",
    { unified: { "memory.oom.group": "1", "pids.max": "10\n" } },
    ["memory.oom.group=1", "pids.max=10"],
  ],
])("%s", (_, resources, expected) => {
  expect(written(resources)).toEqual(expected);
});

test.each([
  [0, 1],
  [2, 1],
  [1024, 39],
  [262_144, 10_000],
  [1_000_000, 10_000],
])("weight of %d shares is %d", (shares, weight) => {
  expect(cpuWeight(shares)).toBe(weight);
});

describe("refusals", () => {
  test.each([
    ["swap below memory", { memoryLimitBytes: 10, memorySwapLimitBytes: 5 }],
    ["swap without memory", { memorySwapLimitBytes: 5 }],
    ["negative shares", { cpuShares: -1 }],
    ["fraction", { memoryLimitBytes: 1.5 }],
    ["memory below -1", { memoryLimitBytes: -2 }],
    ["cpus", { cpusetCpus: "0;1" }],
    ["page size", { hugepageLimits: [{ pageSize: "../x", limit: 1 }] }],
    ["file outside", { unified: { "../memory.max": "1" } }],
    ["file without dot", { unified: { memory: "1" } }],
    ["several lines", { unified: { "memory.max": "1\n2" } }],
    ["the engine's own file", { unified: { "cgroup.procs": "1" } }],
  ])("%s", (_, resources) => {
    expect(() => written(resources)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

test("controllers that the host lacks", () => {
  const writes = cgroupWrites({
    ...NO_RESOURCES,
    cpuShares: 2,
    memoryLimitBytes: 1,
    unified: { "pids.max": "1", "cgroup.max.depth": "3" },
  });
  expect(missingControllers(writes, ["cpu"])).toEqual(["memory", "pids"]);
  expect(missingControllers([], [])).toEqual([]);
});
