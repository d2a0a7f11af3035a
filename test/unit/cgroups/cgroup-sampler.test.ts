// What is asked of the kernel, how often, and what is made of the answers.

import { expect, it, vi } from "vitest";
import { CgroupSampler } from "../../../src/cgroups/cgroup-sampler.ts";
import { FakeKernel } from "../../../src/kernel/fake.ts";

const SECOND = 1_000_000;

function stage() {
  const kernel = new FakeKernel();
  const sampler = new CgroupSampler(kernel);
  const show = (path: string, row: Record<string, number>) =>
    kernel.stats.set(path, { cpuUsageMicros: 0, ...row });
  const sweeps = () => kernel.calls.filter(({ name }) => name === "readStats").map(({ args }) => args[0]);
  return { kernel, sampler, show, sweeps };
}

it("has a rate from the first look on, then over the time between looks", async () => {
  const { sampler, show } = stage();
  const clock = vi.spyOn(performance, "now").mockReturnValue(0);
  const ask = async () => (await sampler.sample([{ path: "/a", depth: 0, since: 100 * SECOND }]))[0];
  show("/a", { wallMicros: 104 * SECOND, monotonicMicros: 4 * SECOND, cpuUsageMicros: SECOND });
  expect((await ask())?.nanoCores).toBe(250_000_000);

  clock.mockReturnValue(10_000);
  show("/a", { wallMicros: 114 * SECOND, monotonicMicros: 14 * SECOND, cpuUsageMicros: 16 * SECOND });
  expect((await ask())?.nanoCores).toBe(1_500_000_000);

  // Too short a time to say anything new: the earlier look stays the one to compare with.
  clock.mockReturnValue(10_600);
  const soon = { wallMicros: 114.5 * SECOND, monotonicMicros: 14.5 * SECOND, cpuUsageMicros: 16 * SECOND };
  show("/a", soon);
  await ask();
  clock.mockReturnValue(20_000);
  show("/a", { wallMicros: 124 * SECOND, monotonicMicros: 24 * SECOND, cpuUsageMicros: 21 * SECOND });
  expect((await ask())?.nanoCores).toBe(500_000_000);
  clock.mockRestore();
});

it("sweeps once for all who ask at a time, and not again for a while", async () => {
  const { sampler, show, sweeps } = stage();
  show("/a", { wallMicros: 1, monotonicMicros: 1 });
  show("/b", { wallMicros: 1, monotonicMicros: 1, processes: 3 });
  const wish = (path: string, depth: 0 | 1 | 2) => ({ path, depth, since: null });
  const both = [wish("/a", 0), wish("/b", 1)];
  await Promise.all([sampler.sample(both), sampler.sample(both), sampler.sample([wish("/a", 0)])]);
  expect(sweeps()).toEqual([["/a", "/b"]]);
  // Who wants more than was looked at is not served from memory.
  expect((await sampler.sample([wish("/a", 1), wish("/b", 0)]))[1]?.processes?.processes).toBe(3);
  expect(sweeps()).toEqual([["/a", "/b"], ["/a"]]);
});

it("tells what is not counted from nothing, and a cgroup that is gone from one that is idle", async () => {
  const { sampler, show } = stage();
  show("/a", {
    wallMicros: 5,
    monotonicMicros: 5,
    memoryMax: Number.POSITIVE_INFINITY,
    memoryCurrent: 0,
    cpuSomeMicros: 7,
    cpuSome10: 1.5,
  });
  const [idle, gone] = await sampler.sample([
    { path: "/a", depth: 0, since: null },
    { path: "/gone", depth: 0, since: null },
  ]);
  expect(gone).toBeNull();
  expect(idle).toMatchObject({ at: 5, nanoCores: 0, processes: null, swapCurrent: null, ioPressure: null });
  expect(idle?.memory).toMatchObject({ max: Number.POSITIVE_INFINITY, current: 0, anon: null });
  expect(idle?.cpu.pressure?.some).toEqual({ avg10: 1.5, avg60: 0, avg300: 0, totalMicros: 7 });
});

it("goes on after a sweep that failed", async () => {
  const { kernel, sampler, show } = stage();
  show("/a", { wallMicros: 1, monotonicMicros: 1 });
  kernel.failures.set("readStats", new Error("no cgroup2 here"));
  const wishes = [{ path: "/a", depth: 0 as const, since: null }];
  await expect(sampler.sample(wishes)).rejects.toThrow("no cgroup2 here");
  kernel.failures.clear();
  expect((await sampler.sample(wishes))[0]?.at).toBe(1);
});
