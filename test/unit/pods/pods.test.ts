import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { containerStatus } from "../../../src/containers/container-status.ts";
import { createContainer } from "../../../src/containers/create-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { BerthError } from "../../../src/lib/errors.ts";
import { listPodSandbox } from "../../../src/pods/list-pod-sandbox.ts";
import { onlyLoopback, renderResolvConf } from "../../../src/pods/pod-files.ts";
import { stateOfPod } from "../../../src/pods/pod-lifecycle.ts";
import { podSandboxStatus } from "../../../src/pods/pod-sandbox-status.ts";
import { removePodSandbox } from "../../../src/pods/remove-pod-sandbox.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { stopPodSandbox } from "../../../src/pods/stop-pod-sandbox.ts";
import { findPod } from "../../../src/store/pods.ts";
import { containerConfig, makeCall, makeWorld, podConfig, type World } from "../containers/world.ts";
import { allPods } from "../support/all-rows.ts";

function run(world: World, changes: Parameters<typeof podConfig>[0] = {}, call = world.call) {
  return runPodSandbox(world.deps, call, { config: podConfig(changes), handler: "" });
}

function expectNothingLeft(world: World): void {
  expect(allPods(world.deps.store)).toEqual([]);
  expect([...world.kernel.cgroups.keys()].filter((path) => path.includes("berth-"))).toEqual([]);
  expect([...world.kernel.namespaces]).toEqual([]);
}

describe("runPodSandbox", () => {
  test("makes the parts in order and is READY with its address", async () => {
    const world = makeWorld();
    const id = await run(world);
    const pod = podSandboxStatus(world.deps, id);
    expect(stateOfPod(pod)).toBe("READY");
    expect(pod.network.ips).toEqual(["10.88.0.2"]);
    expect(pod.networkHeld).toBe(true);
    expect(pod.monitor).not.toBeNull();
    expect(world.steps.map((step) => step.split("/")[1])).toEqual([
      "reserve",
      "state-dir",
      "cgroup",
      "netns",
      "monitor",
      "network",
      "files",
      "commit",
    ]);
    expect(world.events.map((event) => event.type)).toEqual(["pod-ready"]);
  });

  for (const step of ["reserve", "state-dir", "cgroup", "netns", "monitor", "network", "files", "commit"]) {
    test(`leaves nothing when step "${step}" fails, and a retry works`, async () => {
      const world = makeWorld();
      world.failAt = `RunPodSandbox/${step}`;
      await expect(run(world)).rejects.toThrow(`failed at ${step}`);
      expectNothingLeft(world);
      world.failAt = undefined;
      await run(world);
      expect(await listPodSandbox(world.deps)).toHaveLength(1);
    });
  }

  test("gives the id again to a retry, and refuses one that was stopped", async () => {
    const world = makeWorld();
    const id = await run(world);
    expect(await run(world)).toBe(id);
    await stopPodSandbox(world.deps, world.call, id);
    await expect(run(world)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
  });

  test("lets two callers of the same metadata share one run", async () => {
    const world = makeWorld();
    const [first, second] = await Promise.all([run(world), run(world)]);
    expect(first).toBe(second);
    expect(world.network.calls).toEqual(["setUp"]);
  });

  test("goes on when its caller leaves, and the retry finds it", async () => {
    const world = makeWorld();
    let open: () => void = () => {};
    world.network.gate = new Promise((resolve) => {
      open = resolve;
    });
    const leaving = new AbortController();
    const first = run(
      world,
      {},
      makeCall(() => {}, leaving.signal),
    );
    leaving.abort(new BerthError("DEADLINE_EXCEEDED", "late"));
    await expect(first).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    const second = run(world);
    open();
    const id = await second;
    expect(allPods(world.deps.store).map((pod) => pod.id)).toEqual([id]);
  });

  test("does not block its name when the network cannot be undone", async () => {
    const world = makeWorld();
    world.network.setUpError = new Error("no address");
    world.network.tearDownError = new Error("plugin hangs");
    await expect(run(world)).rejects.toThrow("no address");
    expect(allPods(world.deps.store)).toHaveLength(1);
    world.network.setUpError = undefined;
    const id = await run(world);
    expect((await listPodSandbox(world.deps)).map((pod) => pod.id)).toEqual([id]);
  });

  test("is not visible before its commit", async () => {
    const world = makeWorld();
    const { promise, resolve } = Promise.withResolvers<void>();
    world.network.gate = promise;
    const running = run(world);
    await expect.poll(() => world.network.calls).toEqual(["setUp"]);
    expect(await listPodSandbox(world.deps)).toEqual([]);
    resolve();
    await running;
    expect(await listPodSandbox(world.deps)).toHaveLength(1);
  });

  test("needs neither namespace nor network with host network", async () => {
    const world = makeWorld();
    const { security } = podConfig();
    const namespaces = { ...security.namespaces, network: "NODE" as const };
    const id = await run(world, { hostname: "", security: { ...security, namespaces } });
    expect(findPod(world.deps.store, id)?.netnsPath).toBe("");
    expect(world.network.calls).toEqual([]);
  });

  test.each([
    [{ metadata: { name: "", uid: "u", namespace: "n", attempt: 0 } }, "metadata.name"],
    [{ cgroupParent: "/a/../../b" }, "cgroup parent"],
    [{ logDirectory: "logs" }, "log directory"],
  ])("refuses %j", async (changes, message) => {
    const world = makeWorld();
    await expect(run(world, changes)).rejects.toThrow(message);
    expectNothingLeft(world);
  });

  test("refuses a handler that is not there and lists those that are", async () => {
    const world = makeWorld();
    const request = { config: podConfig(), handler: "kata" };
    const refused = runPodSandbox(world.deps, world.call, request);
    await expect(refused).rejects.toMatchObject({ code: "NOT_FOUND", message: /"kata".*"native"/ });
  });
});

describe("stopPodSandbox and removePodSandbox", () => {
  test("stopping kills, detaches, and is idempotent", async () => {
    const world = makeWorld();
    const id = await run(world);
    const container = await createContainer(world.deps, world.call, { podId: id, config: containerConfig() });
    await startContainer(world.deps, world.call, container);
    world.kernel.onKill = () => {
      const exit = { finishedAt: 99, exitCode: 137, signal: 9, oomKilled: false };
      world.driver.monitors.get(id)?.events.onExit(container, exit);
    };
    await stopPodSandbox(world.deps, world.call, id);
    expect(stateOfPod(podSandboxStatus(world.deps, id))).toBe("NOTREADY");
    expect(containerStatus(world.deps, container)).toMatchObject({ finishedAt: 99, exitCode: 137 });
    expect(world.kernel.namespaces.size).toBe(0);
    expect(world.network.calls).toEqual(["setUp", "tearDown"]);
    await stopPodSandbox(world.deps, world.call, id);
    expect(world.network.calls).toEqual(["setUp", "tearDown"]);
  });

  test("a network that cannot be detached fails the stop, stays held, and is tried again", async () => {
    const world = makeWorld();
    const id = await run(world);
    world.network.tearDownError = new Error("plugin hangs");
    await expect(stopPodSandbox(world.deps, world.call, id)).rejects.toThrow("plugin hangs");
    expect(findPod(world.deps.store, id)).toMatchObject({ networkHeld: true });
    expect(stateOfPod(podSandboxStatus(world.deps, id))).toBe("NOTREADY");
    world.network.tearDownError = undefined;
    await stopPodSandbox(world.deps, world.call, id);
    expect(findPod(world.deps.store, id)).toMatchObject({ networkHeld: false, monitor: null });
  });

  test("removing takes everything", async () => {
    const world = makeWorld();
    const id = await run(world);
    await createContainer(world.deps, world.call, { podId: id, config: containerConfig() });
    await removePodSandbox(world.deps, world.call, id);
    expectNothingLeft(world);
    expect(existsSync(world.deps.paths.podState(id))).toBe(false);
    expect(world.events.at(-1)).toMatchObject({ type: "pod-removed", podId: id });
    expect(() => podSandboxStatus(world.deps, id)).toThrow("no such pod sandbox");
  });

  test("unknown ids are fine", async () => {
    const world = makeWorld();
    await stopPodSandbox(world.deps, world.call, "nobody");
    await removePodSandbox(world.deps, world.call, "nobody");
  });

  test("a removal that failed is still there, and is finished by the next try", async () => {
    const world = makeWorld();
    const id = await run(world);
    world.failAt = "RemovePodSandbox/row";
    await expect(removePodSandbox(world.deps, world.call, id)).rejects.toThrow("failed at row");
    expect(podSandboxStatus(world.deps, id).removingAt).not.toBeNull();
    world.failAt = undefined;
    await removePodSandbox(world.deps, world.call, id);
    expectNothingLeft(world);
  });
});

test("a lost monitor makes its pod NOTREADY and records its containers", async () => {
  const world = makeWorld();
  const id = await run(world);
  const container = await createContainer(world.deps, world.call, { podId: id, config: containerConfig() });
  await startContainer(world.deps, world.call, container);
  world.driver.records.set(container, { finishedAt: 77, exitCode: 3, signal: 0, oomKilled: false });
  world.kernel.processes.clear();
  world.driver.monitors.get(id)?.events.onLost(id);
  await expect.poll(() => containerStatus(world.deps, container).finishedAt).toBe(77);
  expect(stateOfPod(podSandboxStatus(world.deps, id))).toBe("NOTREADY");
});

test("listPodSandbox filters by id prefix, state and labels together", async () => {
  const world = makeWorld();
  const id = await run(world);
  expect(
    await listPodSandbox(world.deps, { id: id.slice(0, 8), state: "READY", labels: { app: "web" } }),
  ).toHaveLength(1);
  expect(await listPodSandbox(world.deps, { state: "NOTREADY" })).toEqual([]);
  expect(await listPodSandbox(world.deps, { labels: { app: "db" } })).toEqual([]);
  expect(await listPodSandbox(world.deps, { labels: { constructor: "x" } })).toEqual([]);
});

describe("resolv.conf", () => {
  test("holds what the pod asks for", () => {
    const text = renderResolvConf({
      servers: ["10.10.10.10"],
      searches: ["google.com"],
      options: ["ndots:8"],
    });
    expect(text).toBe("search google.com\nnameserver 10.10.10.10\noptions ndots:8\n");
  });

  test("cannot be given lines of its own", () => {
    const dns = { servers: ["1.1.1.1\nnameserver 6.6.6.6"], searches: [], options: [] };
    expect(() => renderResolvConf(dns)).toThrow("white space");
  });

  test("tells loopback resolvers", () => {
    expect(onlyLoopback("nameserver 127.0.0.53\n")).toBe(true);
    expect(onlyLoopback("nameserver 127.0.0.53\nnameserver 9.9.9.9\n")).toBe(false);
    expect(onlyLoopback("")).toBe(false);
  });
});
