// Prepared, running, exited, forgotten: what the monitor tells and keeps, and what it refuses.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeMonitorDriver } from "../../../src/monitor/connect.ts";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { sharedPids, type TestPod, usePods } from "./pod.ts";
import { isAlive, processesOf, until } from "./processes.ts";

const startPod = usePods();
const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;

function recordOf(pod: TestPod, id: string) {
  return makeMonitorDriver().readExitRecord(pod.paths.podState(pod.id), id);
}

test("all 256 exit codes, with their records", async () => {
  const pod = await startPod();
  for (let code = 0; code < 256; code++) {
    const { id } = await pod.start(["exit", String(code)]);
    const exit = await pod.exitOf(id);
    expect(exit).toMatchObject({ exitCode: code, signal: 0, oomKilled: false });
    expect(await recordOf(pod, id)).toEqual(exit);
    await pod.monitor.forget(id);
    expect(await recordOf(pod, id)).toBeNull();
  }
  expect(readdirSync(pod.paths.podState(pod.id))).toEqual([]);
});

test.each([1, 2, 6, 9, 11, 13, 15, 31, 34, 64])("ended by signal %i", async (signal) => {
  const pod = await startPod(sharedPids());
  const { id } = await pod.start(["signal", String(signal)]);
  const exit = await pod.exitOf(id);
  expect(exit).toMatchObject({ exitCode: 128 + signal, signal });
  expect(await recordOf(pod, id)).toEqual(exit);
});

test("a new connection is told of every container", async () => {
  const pod = await startPod();
  const prepared = await pod.prepare(["exit", "0"]);
  const running = await pod.start(["sleep"]);
  const exited = await pod.start(["exit", "3"]);
  const exit = await pod.exitOf(exited.id);
  pod.monitor.close();
  const { containers } = await pod.connect();
  expect(containers).toHaveLength(3);
  const known = new Map(containers.map((container) => [container.id, container]));
  expect(known.get(prepared.id)).toMatchObject({
    state: "prepared",
    process: prepared.process,
    startedAt: null,
    exit: null,
  });
  expect(known.get(running.id)).toMatchObject({ state: "running", process: running.process, exit: null });
  expect(known.get(exited.id)).toMatchObject({ state: "exited", process: exited.process, exit });
  expect(pod.kernel.processStartTime(running.process.pid)).toBe(running.process.startTime);
});

test("an exit is told on every connection, and kept for later ones", async () => {
  const pod = await startPod();
  const container = await pod.start(["sleep"]);
  const first = pod.monitor;
  await pod.connect();
  pod.kernel.signalProcess(container.process, SIGKILL);
  expect(await pod.exitOf(container.id)).toMatchObject({ exitCode: 137, signal: 9 });
  first.close();
});

describe("refused", () => {
  test("the same id twice", async () => {
    const pod = await startPod();
    const { id } = await pod.prepare(["exit", "0"]);
    await expect(pod.prepare(["exit", "0"], { request: { id } })).rejects.toMatchObject({ errno: "EEXIST" });
    await pod.monitor.start(id);
    await pod.exitOf(id);
    await expect(pod.prepare(["exit", "0"], { request: { id } })).rejects.toMatchObject({ errno: "EEXIST" });
  });

  test("a second start, and the start of an unknown container", async () => {
    const pod = await startPod();
    const { id } = await pod.start(["sleep"]);
    await expect(pod.monitor.start(id)).rejects.toMatchObject({ step: "start", errno: "EINVAL" });
    await expect(pod.monitor.start("unknown")).rejects.toMatchObject({ errno: "ENOENT" });
    await expect(pod.monitor.resize("unknown", 1, 1)).rejects.toMatchObject({ errno: "ENOENT" });
    await expect(pod.monitor.reopenLog("unknown")).rejects.toMatchObject({ errno: "ENOENT" });
  });

  test("a cgroup that is not there, and the PID namespace of nobody", async () => {
    const pod = await startPod();
    const missing = { request: { cgroupPath: join(pod.cgroup, "missing") } };
    await expect(pod.prepare(["exit", "0"], missing)).rejects.toMatchObject({
      step: "open cgroup",
      errno: "ENOENT",
    });
    await expect(pod.prepare(["exit", "0"], { request: { pidTarget: "nobody" } })).rejects.toMatchObject({
      errno: "ESRCH",
    });
    const plan = encodePlan({ ...buildContainerPlan(pod.planInput(["/x"])), pidNamespace: "pod" });
    await expect(pod.prepare(["exit", "0"], { request: { plan } })).rejects.toMatchObject({
      errno: "EINVAL",
    });
  });

  test("damaged plans, one after the other", async () => {
    const pod = await startPod();
    const plan = Buffer.from(encodePlan(buildContainerPlan(pod.planInput(["/bin/probe"]))));
    const damaged = [0, 1, 31, 32, 95, plan.length - 1].map((length) => plan.subarray(0, length));
    damaged.push(Buffer.concat([plan, Buffer.alloc(1)]));
    const at = (offset: number, value: number) => {
      const copy = Buffer.from(plan);
      copy.writeUInt32LE(value, offset);
      damaged.push(copy);
    };
    for (const offset of [0, 16, 20]) for (const value of [0, 0xffff_ffff, 0x7fff_ffff]) at(offset, value);
    // Operation and slot of the first step, and the length of its first string.
    for (const offset of [32, 68]) at(offset, 0xffff_ffff);
    for (const bytes of damaged) {
      const failure = pod.prepare(["exit", "0"], { request: { plan: bytes } });
      await expect(failure).rejects.toMatchObject({ step: "plan", errno: "EINVAL" });
    }
    expect((await pod.run(["exit", "5"])).exitCode).toBe(5);
  });
});

describe("forget", () => {
  test("of a prepared container kills it", async () => {
    const pod = await startPod();
    const { id, process, cgroup } = await pod.prepare(["exit", "0"]);
    expect(isAlive(process.pid)).toBe(true);
    await pod.monitor.forget(id);
    expect(isAlive(process.pid)).toBe(false);
    expect(processesOf(cgroup)).toEqual([]);
    expect(await recordOf(pod, id)).toBeNull();
  });

  test("of a running one kills all of it", async () => {
    const pod = await startPod();
    const { id, cgroup } = await pod.start(["leave-behind", "stay"]);
    await until(() => processesOf(cgroup).length === 3);
    await pod.monitor.forget(id);
    await until(() => processesOf(cgroup).length === 0);
    expect(await pod.kernel.destroyCgroup(cgroup, 10_000)).toBe(true);
  });

  test("of an exited one, an unknown one, and twice", async () => {
    const pod = await startPod();
    const { id, cgroup } = await pod.start(["exit", "0"]);
    await pod.exitOf(id);
    await Promise.all([pod.monitor.forget(id), pod.monitor.forget(id), pod.monitor.forget("unknown")]);
    expect(processesOf(cgroup)).toEqual([]);
    expect(await pod.kernel.destroyCgroup(cgroup, 10_000)).toBe(true);
    pod.exits.clear();
    expect((await pod.run(["exit", "1"], { request: { id } })).exitCode).toBe(1);
  });
});

test("when the first process of a container ends, the rest of it ends", async () => {
  const pod = await startPod(sharedPids());
  const { id, cgroup } = await pod.start(["leave-behind"]);
  expect(await pod.exitOf(id)).toMatchObject({ exitCode: 0 });
  await until(() => processesOf(cgroup).length === 0);
});

describe.each([
  ["own PID namespace", {}],
  ["shared PID namespace", sharedPids()],
])("%s", (_name, options) => {
  test("a monitor that is killed takes its containers along", async () => {
    const pod = await startPod(options);
    const containers = [
      await pod.start(["leave-behind", "stay"]),
      await pod.start(["sleep"], { input: { user: { uid: 1000, gid: 1000, groups: [], home: "/" } } }),
      await pod.prepare(["sleep"]),
    ];
    await until(() => processesOf(containers[0]!.cgroup).length === 3);
    pod.kernel.signalProcess(pod.process, SIGKILL);
    await until(() => processesOf(pod.cgroup).length === 0);
    await until(() => pod.isLost);
    await expect(pod.monitor.start(containers[2]!.id)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("a shutdown ends everything", async () => {
    const pod = await startPod(options);
    const { cgroup } = await pod.start(["leave-behind", "stay"]);
    await until(() => processesOf(cgroup).length === 3);
    await pod.monitor.shutdown();
    await until(() => processesOf(pod.cgroup).length === 0);
    expect(readdirSync(join(pod.paths.state, "m"))).toEqual([]);
    expect(pod.isLost).toBe(false);
  });
});

test("a stopped monitor delays only itself", async () => {
  const pod = await startPod();
  const other = await startPod();
  const container = await pod.start(["sleep"]);
  pod.kernel.signalProcess(pod.process, SIGSTOP);
  pod.kernel.signalProcess(container.process, SIGKILL);
  const answer = pod.run(["exit", "6"]);
  expect((await other.run(["exit", "7"])).exitCode).toBe(7);
  expect(pod.exits.size).toBe(0);
  pod.kernel.signalProcess(pod.process, SIGCONT);
  expect(await pod.exitOf(container.id)).toMatchObject({ signal: 9 });
  expect((await answer).exitCode).toBe(6);
});
