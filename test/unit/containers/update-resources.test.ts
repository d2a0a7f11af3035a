// UpdateContainerResources: all or nothing, and what is shown is what holds.

import { expect, it } from "vitest";
import { createContainer } from "../../../src/containers/create-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { updateContainerResources } from "../../../src/containers/update-container-resources.ts";
import { KernelError } from "../../../src/lib/errors.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { findContainer } from "../../../src/store/containers.ts";
import { type LinuxResources, NO_RESOURCES } from "../../../src/types/pod.ts";
import { containerConfig, makeWorld, podConfig } from "./world.ts";

async function stage(resources: Partial<LinuxResources> = {}) {
  const world = makeWorld();
  const { deps, call, kernel } = world;
  const podId = await runPodSandbox(deps, call, { config: podConfig(), handler: "" });
  const config = containerConfig({ resources: { ...NO_RESOURCES, ...resources } });
  const id = await createContainer(deps, call, { podId, config });
  const row = () => findContainer(deps.store, id);
  const files = kernel.cgroups.get(row()?.cgroupPath ?? "") as Map<string, string>;
  const update = (changes: Partial<LinuxResources>) =>
    updateContainerResources(deps, call, id, { ...NO_RESOURCES, ...changes });
  return { world, id, row, files, update };
}

it("is legal in CREATED and RUNNING, and shown", async () => {
  const { world, id, row, files, update } = await stage({
    memoryLimitBytes: 1_000,
    memorySwapLimitBytes: 1_500,
  });
  await update({ cpuShares: 512 });
  await startContainer(world.deps, world.call, id);
  // What may be swapped stays beside the new limit.
  await update({ memoryLimitBytes: 4_000 });
  expect(row()?.config.resources).toEqual({
    ...NO_RESOURCES,
    cpuShares: 512,
    memoryLimitBytes: 4_000,
    memorySwapLimitBytes: 4_500,
  });
  expect(files.get("memory.max")).toBe("4000");
  expect(files.get("memory.swap.max")).toBe("500");
});

it("puts every limit back when one cannot be set", async () => {
  const { world, row, files, update } = await stage({ cpuQuota: 10_000 });
  files.set("memory.max", "max\n");
  files.set("cpu.weight", "100\n");
  const before = row();
  const write = world.kernel.writeCgroup.bind(world.kernel);
  world.kernel.writeCgroup = async (path, file, value) => {
    if (file === "pids.max") throw new KernelError("write", "ERANGE", file);
    await write(path, file, value);
  };
  const wanted = { cpuShares: 512, cpuQuota: 20_000, memoryLimitBytes: 5_000, unified: { "pids.max": "-1" } };
  await expect(update(wanted)).rejects.toThrow('set limit "pids.max" to "-1": write "pids.max": ERANGE');
  expect(row()).toEqual(before);
  expect(Object.fromEntries(files)).toMatchObject({
    "memory.max": "max\n",
    "cpu.weight": "100\n",
    "cpu.max": "10000 100000\n",
  });
});

it("moves the OOM score of what runs and of what will be executed", async () => {
  const { world, row, update } = await stage({ oomScoreAdj: 100 });
  await update({ oomScoreAdj: 500 });
  const scores = world.kernel.calls.filter(({ name }) => name === "setOomScore");
  expect(scores.map(({ args }) => args)).toEqual([[row()?.cgroupPath, 500, false]]);
  expect(row()?.execTemplate.oomScoreAdj).toBe(500);
  await expect(update({ oomScoreAdj: 1_001 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  world.kernel.failures.set("setOomScore", new KernelError("write oom_score_adj", "EPERM", "/proc/1"));
  await expect(update({ oomScoreAdj: 600, cpuShares: 7 })).rejects.toThrow("EPERM");
  expect(row()?.config.resources).toMatchObject({ oomScoreAdj: 500, cpuShares: 0 });
});

/** What writing to memory.reclaim does. */
function onReclaim({ kernel }: ReturnType<typeof makeWorld>, reclaim: (bytes: number) => void): void {
  const write = kernel.writeCgroup.bind(kernel);
  kernel.writeCgroup = async (path, file, value) => {
    if (file === "memory.reclaim") reclaim(Number(value));
    else await write(path, file, value);
  };
}

const noMore = () => new KernelError("write", "EAGAIN", "memory.reclaim");

/** A container that holds `held` bytes, and as many of page cache as come to `current`. */
async function holding(held: number, current: number) {
  const staged = await stage();
  const { world, files } = staged;
  files.set("memory.current", `${current}\n`);
  onReclaim(world, (bytes) => {
    const left = Number(files.get("memory.current")) - bytes;
    files.set("memory.current", `${Math.max(held, left)}\n`);
    if (left < held) throw noMore();
  });
  return staged;
}

it("refuses a memory limit that would kill the container", async () => {
  const { files, update } = await holding(9_000, 50_000);
  await expect(update({ memoryLimitBytes: 8_000 })).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining("9000 bytes that it holds and cannot give back"),
  });
  expect(files.has("memory.max")).toBe(false);
});

it("has the page cache given back for a lower memory limit", async () => {
  const { files, update } = await holding(9_000, 50_000);
  await update({ memoryLimitBytes: 10_000 });
  expect(files.get("memory.current")).toBe("10000\n");
  expect(files.get("memory.max")).toBe("10000");
  // Nothing is reclaimed for a limit that is high enough.
  await update({ memoryLimitBytes: 20_000 });
  expect(files.get("memory.current")).toBe("10000\n");
});

it("asks again when the container takes again what was given back", async () => {
  const { world, files, update } = await stage();
  let cache = 9_000;
  onReclaim(world, () => {
    cache = Math.floor(cache / 3);
    files.set("memory.current", String(1_000 + cache));
  });
  files.set("memory.current", String(1_000 + cache));
  await update({ memoryLimitBytes: 2_000 });
  expect(files.get("memory.current")).toBe("2000");
});

it("waits for what is dirty to be written", async () => {
  const { world, files, update } = await stage();
  let dirty = 6_000;
  onReclaim(world, () => {
    files.set("memory.current", String(4_000 + dirty));
    dirty -= 3_000;
    files.set("memory.stat", `file_dirty ${dirty}\nfile_writeback 3000\n`);
    throw noMore();
  });
  files.set("memory.current", "10000");
  await update({ memoryLimitBytes: 5_000 });
  expect(files.get("memory.current")).toBe("4000");
});

it("goes by what has no file behind it where the kernel reclaims nothing on demand", async () => {
  const { world, files, update } = await stage();
  files.set("memory.current", "50000");
  files.set("memory.stat", "anon 6000\nfile 44000\nshmem 3000\n");
  onReclaim(world, () => {
    throw new KernelError("open", "ENOENT", "memory.reclaim");
  });
  await expect(update({ memoryLimitBytes: 8_000 })).rejects.toThrow("9000 bytes");
  await update({ memoryLimitBytes: 10_000 });
});
