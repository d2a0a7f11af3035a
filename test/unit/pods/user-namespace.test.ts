// Which ids of the host a pod with a user namespace gets, and what of it is told to the kernel.

import { beforeEach, describe, expect, test } from "vitest";
import { podSandboxStatus } from "../../../src/pods/pod-sandbox-status.ts";
import { removePodSandbox } from "../../../src/pods/remove-pod-sandbox.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { runtimeStatus } from "../../../src/pods/runtime-status.ts";
import type { IdMapping } from "../../../src/types/pod.ts";
import { makeWorld, podConfig, type World } from "../containers/world.ts";
import { layerForms } from "../images/support/bench.ts";
import { allPods } from "../support/all-rows.ts";

beforeEach((ctx) => {
  ctx.skip(process.getuid?.() !== 0, "only root can give the pod's files to other users");
});

function run(world: World, name: string, ranges: readonly IdMapping[] = []) {
  const config = podConfig();
  const userns = { mode: "POD", uids: ranges, gids: ranges } as const;
  const security = { ...config.security, namespaces: { ...config.security.namespaces, userns } };
  const metadata = { ...config.metadata, name, uid: name };
  return runPodSandbox(world.deps, world.call, { config: { ...config, metadata, security }, handler: "" });
}

function firstId(world: World, id: string): number | undefined {
  return podSandboxStatus(world.deps, id).config.security.namespaces.userns?.uids[0]?.hostId;
}

const FIRST = 0x7000_0000;

describe("ranges", () => {
  test("each pod gets the first free one; a removed pod's is free again", async () => {
    const world = makeWorld();
    // The client's own choice counts too: it reaches into the second range.
    await run(world, "own", [{ containerId: 0, hostId: FIRST + 65_536 + 7, length: 10 }]);
    const first = await run(world, "a");
    const third = await run(world, "b");
    expect([firstId(world, first), firstId(world, third)]).toEqual([FIRST, FIRST + 2 * 65_536]);
    await removePodSandbox(world.deps, world.call, first);
    expect(firstId(world, await run(world, "c"))).toBe(FIRST);
    expect(firstId(world, await run(world, "d"))).toBe(FIRST + 3 * 65_536);
  });

  test("when none is left the pod is refused, and says where there are more", async () => {
    const world = makeWorld();
    const userNamespaces = { firstId: 100_000, idCount: 65_536 + 10 };
    Object.assign(world.deps, { config: { ...world.deps.config, userNamespaces } });
    await run(world, "a");
    await expect(run(world, "b")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expect(allPods(world.deps.store)).toHaveLength(1);
  });

  test("a retry of the same pod has the same range", async () => {
    const world = makeWorld();
    const id = await run(world, "a");
    expect(await run(world, "a")).toBe(id);
    expect(allPods(world.deps.store)).toHaveLength(1);
  });
});

test("the network namespace is made with the mapping", async () => {
  const world = makeWorld();
  await run(world, "a", [{ containerId: 0, hostId: 70_000, length: 1000 }]);
  const call = world.kernel.calls.find(({ name }) => name === "createNetns");
  expect(call?.args[1]).toEqual({ uids: "0 70000 1000", gids: "0 70000 1000" });
});

test("a host that cannot do it refuses and says so in its status", async () => {
  const world = makeWorld();
  Object.assign(world.deps, { userNamespacesMissing: "map ids: EINVAL; its file system (overlay) cannot" });
  await expect(run(world, "a")).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining("overlay"),
  });
  expect(allPods(world.deps.store)).toEqual([]);
  expect((await runtimeStatus({ ...world.deps, layerForms })).userNamespaces).toBe(false);
});
