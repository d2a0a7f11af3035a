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

it("refuses a memory limit that would kill the container", async () => {
  const { world, row, update } = await stage();
  world.kernel.stats.set(row()?.cgroupPath ?? "", {
    wallMicros: 1,
    memoryAnon: 9_000,
    memoryCurrent: 50_000,
  });
  await expect(update({ memoryLimitBytes: 8_000 })).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining("9000 bytes that its processes hold"),
  });
  await update({ memoryLimitBytes: 10_000 });
});
