// Nobody is told of a pod or a container before it is on the disk, not even by a retry.

import { beforeEach, expect, type MockInstance, onTestFinished, test, vi } from "vitest";
import { createContainer } from "../../../src/containers/create-container.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { WalFile } from "../../../src/store/wal-file.ts";
import { allContainers, allPods } from "../support/all-rows.ts";
import { containerConfig, makeWorld, podConfig, type World } from "./world.ts";

let sync: MockInstance<WalFile["sync"]>;

beforeEach(() => {
  sync = vi.spyOn(WalFile.prototype, "sync");
  onTestFinished(() => sync.mockRestore());
});

const verbs = {
  RunPodSandbox: async (world: World) => () =>
    runPodSandbox(world.deps, world.call, { config: podConfig(), handler: "" }),
  CreateContainer: async (world: World) => {
    const podId = await runPodSandbox(world.deps, world.call, { config: podConfig(), handler: "" });
    return () => createContainer(world.deps, world.call, { podId, config: containerConfig() });
  },
};

test.each(Object.entries(verbs))("%s answers when its commit is synced", async (_, prepare) => {
  const world = makeWorld({ store: "file" });
  const make = await prepare(world);
  const { promise, resolve } = Promise.withResolvers<void>();
  sync.mockReturnValue(promise);
  const told = vi.fn();
  const events = world.events.length;
  const making = make().then(told);
  await expect.poll(() => world.events).toHaveLength(events + 1);
  await new Promise((later) => setTimeout(later, 20));
  expect(told).not.toHaveBeenCalled();
  resolve();
  await making;
  expect(told).toHaveBeenCalledOnce();
});

test.each(Object.entries(verbs))("a retry of %s syncs what the first one could not", async (_, prepare) => {
  const world = makeWorld({ store: "file" });
  const make = await prepare(world);
  sync.mockRejectedValue(new Error("EIO"));
  await expect(make()).rejects.toThrow("EIO");
  const rows = () => [...allPods(world.deps.store), ...allContainers(world.deps.store)].map(({ id }) => id);
  const made = rows();
  await expect(make()).rejects.toThrow("EIO");
  sync.mockResolvedValue();
  expect(await make()).toBe(made.at(-1));
  expect(rows()).toEqual(made);
});
