import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { stateOfContainer } from "../../../src/containers/container-lifecycle.ts";
import { containerStatus } from "../../../src/containers/container-status.ts";
import { createContainer } from "../../../src/containers/create-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { makePodDeps, type PodDeps } from "../../../src/pods/deps.ts";
import { listPodSandbox } from "../../../src/pods/list-pod-sandbox.ts";
import { stateOfPod } from "../../../src/pods/pod-lifecycle.ts";
import { podSandboxStatus } from "../../../src/pods/pod-sandbox-status.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { removeOrphans } from "../../../src/reconcile/orphans.ts";
import { Reconciler } from "../../../src/reconcile/reconcile.ts";
import { containerConfig, makeWorld, podConfig, type World } from "../containers/world.ts";
import { allPods } from "../support/all-rows.ts";

/** The daemon died and a new one starts over the same rows and the same kernel. */
function restarted(world: World): PodDeps {
  return makePodDeps({
    ...world.deps,
    events: (event) => world.events.push(event),
    readImageFile: async () => null,
  });
}

async function recover(world: World, deps: PodDeps): Promise<Reconciler> {
  const reconciler = new Reconciler(deps, world.call);
  onTestFinished(() => reconciler.stop());
  await reconciler.start();
  return reconciler;
}

async function withContainer(world: World, annotations: Record<string, string> = {}) {
  const request = { config: podConfig({ annotations }), handler: "" };
  const podId = await runPodSandbox(world.deps, world.call, request);
  const id = await createContainer(world.deps, world.call, { podId, config: containerConfig() });
  await startContainer(world.deps, world.call, id);
  return { podId, id };
}

test("a running pod is connected to again and goes on", async () => {
  const world = makeWorld();
  const { podId, id } = await withContainer(world);
  const deps = restarted(world);
  await recover(world, deps);
  expect(deps.monitors.get(podId)).toBeDefined();
  expect(stateOfPod(podSandboxStatus(deps, podId))).toBe("READY");
  expect(stateOfContainer(containerStatus(deps, id))).toBe("RUNNING");
});

test("an exit while away is recorded before the first answer", async () => {
  const world = makeWorld();
  const { podId, id } = await withContainer(world);
  const exit = { finishedAt: 50, exitCode: 3, signal: 0, oomKilled: false };
  world.driver.monitors.clear();
  world.driver.exit(podId, id, exit);
  const deps = restarted(world);
  await recover(world, deps);
  expect(containerStatus(deps, id)).toMatchObject({ exitCode: 3, reason: "Error" });
});

test("after a reboot pods are NOTREADY and their containers ended", async () => {
  const world = makeWorld();
  const { podId, id } = await withContainer(world);
  world.kernel.processes.clear();
  const deps = { ...restarted(world), host: { ...world.deps.host, bootId: "boot-2" } };
  await recover(world, deps);
  expect(stateOfPod(podSandboxStatus(deps, podId))).toBe("NOTREADY");
  expect(containerStatus(deps, id)).toMatchObject({ exitCode: 137, reason: "ContainerStatusUnknown" });
});

test("a hung monitor keeps its pod READY", async () => {
  const world = makeWorld();
  const { podId, id } = await withContainer(world);
  world.driver.failures.set("connect", new Error("no answer"));
  const deps = restarted(world);
  await recover(world, deps);
  expect(stateOfPod(podSandboxStatus(deps, podId))).toBe("READY");
  expect(stateOfContainer(containerStatus(deps, id))).toBe("RUNNING");
});

test("an interrupted run is undone, and its name is free at once", async () => {
  const world = makeWorld();
  world.failAt = "RunPodSandbox/network";
  world.kernel.failures.set("removeNetns", new Error("the daemon died here"));
  const request = { config: podConfig(), handler: "" };
  await expect(runPodSandbox(world.deps, world.call, request)).rejects.toThrow();
  expect(allPods(world.deps.store)).toHaveLength(1);
  world.failAt = undefined;
  world.kernel.failures.clear();
  const deps = restarted(world);
  await recover(world, deps);
  const id = await runPodSandbox(deps, world.call, request);
  await expect.poll(() => allPods(deps.store).map((pod) => pod.id)).toEqual([id]);
  expect(await listPodSandbox(deps)).toHaveLength(1);
});

test("a pod of run --rm goes when its container has ended", async () => {
  const world = makeWorld();
  const { podId, id } = await withContainer(world, { "berth.auto-remove": "true" });
  const reconciler = new Reconciler(world.deps, world.call);
  onTestFinished(() => reconciler.stop());
  const exit = { finishedAt: 50, exitCode: 0, signal: 0, oomKilled: false };
  world.driver.monitors.get(podId)?.events.onExit(id, exit);
  await expect.poll(() => world.events.at(-1)?.type).toBe("container-stopped");
  reconciler.onEvent({ type: "container-stopped", containerId: id, podId, at: 50 });
  await expect.poll(() => allPods(world.deps.store)).toEqual([]);
});

test("a recovery that fails in the middle does not end the reconciler", async () => {
  const world = makeWorld();
  vi.spyOn(world.kernel, "cgroupMount").mockRejectedValue(new Error("no cgroup2"));
  const timers = vi.spyOn(globalThis, "setTimeout");
  onTestFinished(() => timers.mockRestore());
  await recover(world, world.deps);
  await expect.poll(() => timers.mock.calls.some(([, delay]) => delay === 2000)).toBe(true);
});

test("orphans of this daemon go, and nothing else", async () => {
  const world = makeWorld();
  const { podId } = await withContainer(world);
  const { paths } = world.deps;
  mkdirSync(join(paths.state, "pods", "stranger"), { recursive: true });
  mkdirSync(join(paths.snapshots, "c", "zz"), { recursive: true });
  mkdirSync(join(paths.state, "m"), { recursive: true });
  writeFileSync(join(paths.state, "m", "0123"), "");
  await removeOrphans(world.deps);
  const removed = world.kernel.calls.filter((call) => call.name === "removeTree").map((call) => call.args[0]);
  expect(removed).toContain(join(paths.state, "pods", "stranger"));
  expect(removed).not.toContain(paths.podState(podId));
  expect(world.kernel.namespaces.has(paths.netns(podId))).toBe(true);
});

test("networks are audited after recovery: what a plugin complains of is shown with the pod", async () => {
  const world = makeWorld();
  const { podId } = await withContainer(world);
  world.network.problem = "route is gone";
  await recover(world, restarted(world));
  await vi.waitFor(() =>
    expect(podSandboxStatus(world.deps, podId).network).toMatchObject({
      ips: ["10.88.0.2"],
      problem: "route is gone",
    }),
  );
  expect(world.network.calls.slice(-2)).toEqual(["collectGarbage", "check"]);
  expect(stateOfPod(podSandboxStatus(world.deps, podId))).toBe("READY");
  world.network.problem = "";
  await recover(world, restarted(world));
  await expect.poll(() => podSandboxStatus(world.deps, podId).network.problem).toBeUndefined();
});
