import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { stateOfContainer } from "../../../src/containers/container-lifecycle.ts";
import { containerStatus } from "../../../src/containers/container-status.ts";
import { createContainer } from "../../../src/containers/create-container.ts";
import { execSync, MAX_OUTPUT_BYTES } from "../../../src/containers/exec-sync.ts";
import { listContainers } from "../../../src/containers/list-containers.ts";
import { removeContainer } from "../../../src/containers/remove-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { startExec } from "../../../src/containers/start-exec.ts";
import { stopContainer } from "../../../src/containers/stop-container.ts";
import { waitContainer } from "../../../src/containers/wait-container.ts";
import { KernelError } from "../../../src/lib/errors.ts";
import type { FakeMonitor } from "../../../src/monitor/fake.ts";
import { removePodSandbox } from "../../../src/pods/remove-pod-sandbox.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { stopPodSandbox } from "../../../src/pods/stop-pod-sandbox.ts";
import type { ContainerConfig } from "../../../src/types/container.ts";
import { NO_RESOURCES } from "../../../src/types/pod.ts";
import { allContainers } from "../support/all-rows.ts";
import { containerConfig, IMAGE_ID, makeCall, makeWorld, podConfig, type World } from "./world.ts";

const KILLED = { finishedAt: 99, exitCode: 137, signal: 9, oomKilled: false };

async function withPod(): Promise<World & { podId: string; monitor: FakeMonitor }> {
  const world = makeWorld();
  const podId = await runPodSandbox(world.deps, world.call, { config: podConfig(), handler: "" });
  const monitor = world.driver.monitors.get(podId);
  if (monitor === undefined) throw new Error("no monitor");
  world.steps.length = 0;
  return Object.assign(world, { podId, monitor });
}

type PodWorld = Awaited<ReturnType<typeof withPod>>;

function create(world: PodWorld, changes: Partial<ContainerConfig> = {}): Promise<string> {
  return createContainer(world.deps, world.call, { podId: world.podId, config: containerConfig(changes) });
}

async function running(world: PodWorld, changes: Partial<ContainerConfig> = {}): Promise<string> {
  const id = await create(world, changes);
  await startContainer(world.deps, world.call, id);
  return id;
}

/** Killing its cgroup makes the monitor report the exit, as the real ones do. */
function dieWhenKilled(world: PodWorld, id: string): void {
  world.kernel.onKill = (path) => {
    if (path.includes(`c-${id.slice(0, 32)}`)) world.monitor.events.onExit(id, KILLED);
  };
}

describe("createContainer", () => {
  test("prepares everything short of execve", async () => {
    const world = await withPod();
    const id = await create(world);
    const container = containerStatus(world.deps, id);
    expect(stateOfContainer(container)).toBe("CREATED");
    expect(container).toMatchObject({ stopSignal: 3, imageId: IMAGE_ID, user: { uid: 0, gid: 0 } });
    expect(container.logPath).toBe(`${world.deps.paths.podLogs(world.podId)}/c/0.log`);
    expect(world.steps.map((step) => step.split("/")[1])).toEqual([
      "reserve",
      "snapshot",
      "cgroup",
      "plan",
      "log-dir",
      "prepare",
      "devices",
      "commit",
    ]);
    expect(existsSync(world.deps.paths.snapshot(container.snapshot))).toBe(true);
  });

  for (const step of ["reserve", "snapshot", "cgroup", "plan", "log-dir", "devices", "prepare", "commit"]) {
    test(`leaves nothing when step "${step}" fails, and a retry works`, async () => {
      const world = await withPod();
      world.failAt = `CreateContainer/${step}`;
      await expect(create(world)).rejects.toThrow(`failed at ${step}`);
      expect(allContainers(world.deps.store)).toEqual([]);
      expect([...world.kernel.cgroups.keys()].filter((path) => path.includes("/c-"))).toEqual([]);
      world.failAt = undefined;
      const id = await create(world);
      expect(await create(world)).toBe(id);
    });
  }

  test("lets two callers share one creation", async () => {
    const world = await withPod();
    const [first, second] = await Promise.all([create(world), create(world)]);
    expect(first).toBe(second);
  });

  test("refuses a name that runs already", async () => {
    const world = await withPod();
    await running(world);
    await expect(create(world)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
  });

  test("wants a READY pod, a present image, and a privileged pod for privilege", async () => {
    const world = await withPod();
    const image = { ...containerConfig().image, image: "nowhere.example/none:1" };
    await expect(create(world, { image })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: /"nowhere.example\/none:1" is not present; pull it first/,
    });
    const security = { ...containerConfig().security, privileged: true };
    await expect(create(world, { security })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await stopPodSandbox(world.deps, world.call, world.podId);
    await expect(create(world)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("keeps the log beneath the log directory", async () => {
    const world = await withPod();
    await expect(create(world, { logPath: "../../etc/passwd" })).rejects.toThrow("leads out");
  });

  test("refuses a limit whose controller the host lacks, by name", async () => {
    const world = await withPod();
    const resources = { ...NO_RESOURCES, memoryLimitBytes: 1 << 26, cpusetCpus: "0" };
    await expect(create(world, { resources })).rejects.toThrow(/"cpuset.cpus" needs .*"cpuset"/);
    const id = await create(world, { resources: { ...resources, cpusetCpus: "" } });
    const { cgroupPath } = containerStatus(world.deps, id);
    expect(world.kernel.cgroups.get(cgroupPath)?.get("memory.max")).toBe(String(1 << 26));
  });
});

describe("startContainer", () => {
  test("may be repeated while it runs, and is refused when it has ended", async () => {
    const world = await withPod();
    const id = await running(world);
    const { startedAt } = containerStatus(world.deps, id);
    await startContainer(world.deps, world.call, id);
    expect(stateOfContainer(containerStatus(world.deps, id))).toBe("RUNNING");
    expect(containerStatus(world.deps, id).startedAt).toBe(startedAt);
    world.monitor.events.onExit(id, { finishedAt: 50, exitCode: 0, signal: 0, oomKilled: false });
    await expect.poll(() => containerStatus(world.deps, id).finishedAt).toBe(50);
    await expect(startContainer(world.deps, world.call, id)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
  });

  test("records a program that cannot be executed as StartError", async () => {
    const world = await withPod();
    const id = await create(world);
    world.driver.failures.set("start", new KernelError("execve", "ENOENT", "/nothing"));
    await expect(startContainer(world.deps, world.call, id)).rejects.toThrow(/"\/nothing": no such file/);
    expect(containerStatus(world.deps, id)).toMatchObject({ exitCode: 128, reason: "StartError" });
  });

  test("an exit that comes with the start is recorded after it", async () => {
    const world = await withPod();
    const id = await create(world);
    const start = world.monitor.start.bind(world.monitor);
    world.monitor.start = async (container) => {
      await Promise.resolve();
      world.monitor.events.onExit(id, { finishedAt: 50, exitCode: 0, signal: 0, oomKilled: false });
      return await start(container);
    };
    await startContainer(world.deps, world.call, id);
    await expect.poll(() => containerStatus(world.deps, id).reason).toBe("Completed");
    expect(world.events.slice(-2).map((event) => event.type)).toEqual([
      "container-started",
      "container-stopped",
    ]);
  });
});

describe("exits", () => {
  test.each([
    [{ exitCode: 0, signal: 0, oomKilled: false }, "Completed"],
    [{ exitCode: 2, signal: 0, oomKilled: false }, "Error"],
    [{ exitCode: 137, signal: 9, oomKilled: true }, "OOMKilled"],
  ])("%j is %s", async (exit, reason) => {
    const world = await withPod();
    const id = await running(world);
    const waiting = waitContainer(world.deps, world.call, id);
    world.monitor.events.onExit(id, { finishedAt: 50, ...exit });
    expect(await waiting).toMatchObject(exit);
    expect(containerStatus(world.deps, id).reason).toBe(reason);
    expect(await waitContainer(world.deps, world.call, id)).toMatchObject(exit);
  });
});

describe("stopContainer", () => {
  test("sends the image's signal and waits for the end", async () => {
    const world = await withPod();
    const id = await running(world);
    const signals: number[] = [];
    world.kernel.onSignal = (_process, signal) => {
      signals.push(signal);
      world.monitor.events.onExit(id, { finishedAt: 50, exitCode: 0, signal: 0, oomKilled: false });
    };
    await stopContainer(world.deps, world.call, id, 10);
    expect(signals).toEqual([3]);
    expect(containerStatus(world.deps, id).exitCode).toBe(0);
  });

  test("kills at once with time-out 0", async () => {
    const world = await withPod();
    const id = await running(world);
    dieWhenKilled(world, id);
    await stopContainer(world.deps, world.call, id, 0);
    expect(world.kernel.names()).not.toContain("signalProcess");
    expect(containerStatus(world.deps, id)).toMatchObject({ exitCode: 137, signal: 9 });
  });

  test("a second stop shortens the wait, and signals no second time", async () => {
    const world = await withPod();
    const id = await running(world);
    dieWhenKilled(world, id);
    const patient = stopContainer(world.deps, world.call, id, 3600);
    await stopContainer(world.deps, world.call, id, 0);
    await patient;
    expect(world.kernel.names().filter((name) => name === "signalProcess")).toHaveLength(1);
  });

  test("does nothing to created, exited and unknown ones", async () => {
    const world = await withPod();
    const id = await create(world);
    await stopContainer(world.deps, world.call, id, 0);
    await stopContainer(world.deps, world.call, "nobody", 0);
    expect(stateOfContainer(containerStatus(world.deps, id))).toBe("CREATED");
  });

  test("needs no news from a mute monitor", async () => {
    const world = await withPod();
    const id = await running(world);
    world.deps.monitors.delete(world.podId);
    world.driver.records.set(id, { finishedAt: 60, exitCode: 4, signal: 0, oomKilled: false });
    await stopContainer(world.deps, world.call, id, 0);
    expect(containerStatus(world.deps, id)).toMatchObject({ finishedAt: 60, exitCode: 4 });
  });

  test("the client may leave; the container is then not killed", async () => {
    const world = await withPod();
    const id = await running(world);
    const leaving = new AbortController();
    const stopping = stopContainer(
      world.deps,
      makeCall(() => {}, leaving.signal),
      id,
      3600,
    );
    leaving.abort();
    await expect(stopping).rejects.toMatchObject({ code: "CANCELLED" });
    expect(stateOfContainer(containerStatus(world.deps, id))).toBe("RUNNING");
  });
});

describe("removeContainer", () => {
  test("kills a running one first and leaves nothing but its log", async () => {
    const world = await withPod();
    const id = await running(world);
    dieWhenKilled(world, id);
    const { snapshot, logPath } = containerStatus(world.deps, id);
    await removeContainer(world.deps, world.call, id);
    expect(allContainers(world.deps.store)).toEqual([]);
    expect(existsSync(world.deps.paths.snapshot(snapshot))).toBe(false);
    expect(existsSync(logPath.slice(0, logPath.lastIndexOf("/")))).toBe(true);
    expect(world.events.slice(-2).map((event) => event.type)).toEqual([
      "container-stopped",
      "container-removed",
    ]);
    await removeContainer(world.deps, world.call, id);
  });

  test("a pod in removal takes a container in creation with it", async () => {
    const world = await withPod();
    let release: () => void = () => {};
    const prepared = new Promise<never>((_, reject) => {
      release = () => reject(new KernelError("waitpid", "ECHILD", ""));
    });
    world.monitor.prepare = () => prepared;
    world.kernel.onKill = (path) => path.includes("/c-") && release();
    const creating = create(world);
    creating.catch(() => {});
    await expect.poll(() => world.steps).toContain("CreateContainer/prepare");
    await removePodSandbox(world.deps, world.call, world.podId);
    await expect(creating).rejects.toThrow();
    expect(allContainers(world.deps.store)).toEqual([]);
  });
});

describe("startExec", () => {
  test("leaves what runs alone", async () => {
    const world = await withPod();
    const id = await running(world);
    const request = { argv: ["/probe"], tty: false, stdin: true, rows: 0, columns: 0 };
    expect(await startExec(world.deps, world.call, id, request)).toMatchObject({ pid: 4000 });
    expect(world.monitor.calls.at(-1)).toMatchObject({
      name: "exec",
      args: [{ detached: true, stdin: false }],
    });
    expect(world.monitor.sessions[0]?.closed).toBe(true);
  });
});

describe("execSync", () => {
  async function started(world: PodWorld) {
    await expect.poll(() => world.monitor.sessions.length).toBe(1);
    const session = world.monitor.sessions[0];
    if (session === undefined) throw new Error("no session");
    await expect.poll(() => session.onStdout).toBeTypeOf("function");
    return session;
  }

  test("collects both streams and the exit code", async () => {
    const world = await withPod();
    const id = await running(world);
    const done = execSync(world.deps, world.call, id, ["/probe"], 0);
    const session = await started(world);
    session.onStdout?.(Buffer.from("out"));
    session.onStderr?.(Buffer.from("err"));
    session.end({ exitCode: 7, signal: 0 });
    expect(await done).toEqual({ stdout: Buffer.from("out"), stderr: Buffer.from("err"), exitCode: 7 });
  });

  test("drops what is more than the cap", async () => {
    const world = await withPod();
    const id = await running(world);
    const done = execSync(world.deps, world.call, id, ["/probe"], 0);
    const session = await started(world);
    const half = Buffer.alloc(MAX_OUTPUT_BYTES / 2 + 1);
    for (let i = 0; i < 3; i++) session.onStdout?.(half);
    session.end({ exitCode: 0, signal: 0 });
    expect((await done).stdout).toHaveLength(MAX_OUTPUT_BYTES);
  });

  test("both streams together are no more than a client takes", async () => {
    const world = await withPod();
    const id = await running(world);
    const done = execSync(world.deps, world.call, id, ["/probe"], 0);
    const session = await started(world);
    session.onStdout?.(Buffer.alloc(MAX_OUTPUT_BYTES, "o"));
    session.onStderr?.(Buffer.alloc(100, "e"));
    session.end({ exitCode: 0, signal: 0 });
    const { stdout, stderr } = await done;
    expect([stdout.length, stderr.length]).toEqual([MAX_OUTPUT_BYTES - 100, 100]);
  });

  test("kills on a time-out, and when the client leaves", async () => {
    const world = await withPod();
    const id = await running(world);
    await expect(execSync(world.deps, world.call, id, ["/probe"], 0.01)).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    const leaving = new AbortController();
    const done = execSync(
      world.deps,
      makeCall(() => {}, leaving.signal),
      id,
      ["/probe"],
      0,
    );
    await expect.poll(() => world.monitor.sessions.length).toBe(2);
    leaving.abort();
    await expect(done).rejects.toMatchObject({ code: "CANCELLED" });
    expect(world.monitor.sessions.map((session) => session.closed)).toEqual([true, true]);
  });

  test("wants a command and a running container", async () => {
    const world = await withPod();
    const id = await create(world);
    await expect(execSync(world.deps, world.call, id, [], 0)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(execSync(world.deps, world.call, id, ["x"], 0)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
    await expect(execSync(world.deps, world.call, "nobody", ["x"], 0)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});

test("listContainers filters by everything together", async () => {
  const world = await withPod();
  const id = await running(world);
  const { podId } = world;
  const labels = { tier: "front" };
  expect(
    await listContainers(world.deps, { id: id.slice(0, 6), podId, state: "RUNNING", labels }),
  ).toHaveLength(1);
  expect(await listContainers(world.deps, { state: "EXITED" })).toEqual([]);
  expect(await listContainers(world.deps, { labels: { tier: "back" } })).toEqual([]);
});
