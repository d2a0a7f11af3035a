// Further processes in a running container.

import { describe, expect, test } from "vitest";
import { collect, parseReport, sharedPids, type TestPod, usePods } from "./pod.ts";
import {
  childCgroups,
  childrenOf,
  descriptorsOf,
  isAlive,
  memoryOf,
  processesOf,
  until,
} from "./processes.ts";

const startPod = usePods();

async function startSleeper(options = {}) {
  const pod = await startPod(options);
  return { pod, container: await pod.start(["sleep"]) };
}

/** Resolves with what the session has said so far, once `text` is among it. */
function saying(session: ReturnType<TestPod["exec"]>) {
  let said = "";
  session.onStdout = (chunk) => {
    said += chunk.toString("latin1");
  };
  session.onStderr = () => {};
  return async (text: string) => {
    await until(() => said.includes(text));
    return said;
  };
}

test("streams, input and exit code", async () => {
  const { pod, container } = await startSleeper();
  const both = await pod.execAll(container, ["both", "2"]);
  expect(both.stdout.toString()).toBe("out 0\nout 1\n");
  expect(both.stderr.toString()).toBe("err 0\nerr 1\n");
  expect(await pod.execAll(container, ["exit", "200"])).toMatchObject({ exitCode: 200, signal: 0 });
  expect(await pod.execAll(container, ["signal", "15"])).toMatchObject({ exitCode: 143, signal: 15 });
  const session = pod.exec(container, ["cat-stdin"], { stdin: true });
  const outcome = collect(session);
  const input = Buffer.alloc(3 * 1024 * 1024, "0123456789abcdef\n");
  session.writeStdin(input);
  session.closeStdin();
  expect((await outcome).stdout.equals(input)).toBe(true);
  expect((await pod.execAll(container, ["cat-stdin"])).stdout.length).toBe(0);
});

test("sees what the container sees", async () => {
  const { pod, container } = await startSleeper();
  const report = parseReport(await pod.execAll(container, ["report", "--json"]));
  const first = parseReport(await pod.run(["report", "--json"]));
  expect(report.pid).toBeGreaterThan(1);
  expect(report.hostname).toBe("web");
  expect(report.cgroup).toContain("0::/x-1");
  expect(report.signals_ignored).toBe("0000000000000000");
  expect(report.descriptors).toHaveLength(3);
  for (const key of ["mounts", "limits", "capabilities_effective", "environment", "umask"]) {
    expect(report[key], key).toEqual(first[key]);
  }
});

test("a missing program is told with its step, and leaves nothing", async () => {
  const { pod, container } = await startSleeper();
  const session = pod.exec(container, [], { input: { argv: ["missing"] } });
  await expect(session.exited).rejects.toMatchObject({ errno: "ENOENT", path: "missing" });
  await expect(session.started).rejects.toMatchObject({ step: expect.stringMatching(/^plan:\d+/) });
  expect(await pod.execAll(container, ["exit", "0"])).toMatchObject({ exitCode: 0 });
  expect(childCgroups(container.cgroup)).toHaveLength(1);
});

test("a container that does not run refuses", async () => {
  const pod = await startPod();
  const container = await pod.prepare(["exit", "0"]);
  await expect(pod.exec(container, ["exit", "0"]).exited).rejects.toMatchObject({ errno: "ESRCH" });
  await pod.monitor.start(container.id);
  await pod.exitOf(container.id);
  await expect(pod.exec(container, ["exit", "0"]).exited).rejects.toMatchObject({ errno: "ESRCH" });
});

describe.each([
  ["own PID namespace", {}],
  ["shared PID namespace", sharedPids()],
])("%s", (_name, options) => {
  test("closing the session ends all of its processes, detached ones too", async () => {
    const { pod, container } = await startSleeper(options);
    const session = pod.exec(container, ["leave-behind", "stay"]);
    await saying(session)("left behind: 2");
    const pids = processesOf(container.cgroup).filter((pid) => pid !== container.process.pid);
    expect(pids).toHaveLength(3);
    session.close();
    expect(await session.exited).toEqual({ exitCode: 137, signal: 9 });
    expect(pids.filter(isAlive)).toEqual([]);
    expect(processesOf(container.cgroup)).toEqual([container.process.pid]);
    for (const code of [3, 4])
      expect((await pod.execAll(container, ["exit", `${code}`])).exitCode).toBe(code);
    await until(() => childCgroups(container.cgroup).length === 1);
  });

  test("what a finished exec leaves behind neither delays its answer nor is ended", async () => {
    const { pod, container } = await startSleeper(options);
    const outcome = await pod.execAll(container, ["leave-behind"]);
    expect(outcome).toMatchObject({ exitCode: 0 });
    expect(outcome.stdout.toString()).toBe("left behind: 2\n");
    expect(processesOf(container.cgroup)).toHaveLength(3);
    await pod.execAll(container, ["exit", "0"]);
    expect(childCgroups(container.cgroup)).toEqual(["x-1"]);
    await pod.monitor.forget(container.id);
    await until(() => processesOf(container.cgroup).length === 0);
  });
});

test("the end of the container ends its execs", async () => {
  const { pod, container } = await startSleeper();
  const session = pod.exec(container, ["sleep"]);
  await session.started;
  await pod.monitor.forget(container.id);
  expect(await session.exited).toMatchObject({ signal: 9 });
});

test("a terminal: size, input before it is there, end of input", async () => {
  const { pod, container } = await startSleeper();
  const session = pod.exec(container, ["winsize"], { tty: true, stdin: true });
  const said = saying(session);
  await said("winsize: 24 80");
  session.resize(50, 120);
  await said("winsize: 50 120");
  session.writeStdin(Buffer.from("q\n"));
  expect(await session.exited).toEqual({ exitCode: 0, signal: 0 });
  const early = pod.exec(container, ["cat-stdin"], { tty: true, stdin: true });
  const outcome = collect(early);
  early.resize(33, 44);
  early.writeStdin(Buffer.from("typed early\n"));
  early.closeStdin();
  expect((await outcome).stdout.toString().split("\r\n")).toContain("typed early");
});

test("200 execs leave no cgroups, descriptors, zombies or memory", async () => {
  const { pod, container } = await startSleeper();
  const monitor = pod.process.pid;
  const descriptors = descriptorsOf(monitor);
  for (let round = 0; round < 20; round++) await pod.execAll(container, ["both"]);
  await until(() => descriptorsOf(monitor) === descriptors);
  const memory = memoryOf(monitor);
  for (let round = 0; round < 200; round++) {
    const { exitCode, stdout } = await pod.execAll(container, ["both"]);
    expect([exitCode, stdout.toString()]).toEqual([0, "out 0\n"]);
  }
  await until(() => descriptorsOf(monitor) === descriptors);
  expect(memoryOf(monitor)).toBeLessThanOrEqual(memory + 64);
  expect(childrenOf(monitor).map(({ pid }) => pid)).toEqual([container.process.pid]);
  expect(childCgroups(container.cgroup).length).toBeLessThanOrEqual(1);
});

test("ten at once", async () => {
  const { pod, container } = await startSleeper();
  const codes = Array.from({ length: 10 }, (_, index) => index + 1);
  const outcomes = await Promise.all(codes.map((code) => pod.execAll(container, ["exit", String(code)])));
  expect(outcomes.map((outcome) => outcome.exitCode)).toEqual(codes);
  await until(() => childCgroups(container.cgroup).length <= 1);
});

test("children that write without end hold up neither the answer nor the monitor's memory", async () => {
  const { pod, container } = await startSleeper();
  const session = pod.exec(container, ["spew-behind"]);
  session.onStdout = () => {};
  session.onStderr = () => {};
  expect(await session.exited).toEqual({ exitCode: 0, signal: 0 });
  expect(memoryOf(pod.process.pid)).toBeLessThan(16 * 1024);
});

test("a detached one goes on without its client, and ends with the container", async () => {
  const { pod, container } = await startSleeper();
  const session = pod.exec(container, ["sleep"], { detached: true });
  const { pid } = await session.started;
  const flood = pod.exec(container, ["spew-behind"], { detached: true });
  const { pid: first } = await flood.started;
  session.close();
  flood.close();
  // Its first process ends although nobody reads, and its child writes on.
  await until(() => !isAlive(first));
  expect(isAlive(pid)).toBe(true);
  expect((await pod.execAll(container, ["exit", "3"])).exitCode).toBe(3);
  expect(memoryOf(pod.process.pid)).toBeLessThan(16 * 1024);
  await pod.monitor.forget(container.id);
  await until(() => !isAlive(pid));
});
