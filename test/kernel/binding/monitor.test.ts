// How the daemon starts a monitor, with a stand-in for its binary.

import { execFileSync } from "node:child_process";
import {
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { ProcessKernel } from "../../../src/kernel/kernel.ts";
import { dropCgroup, freshCgroup, kernel } from "./fixture.ts";

type Request = Parameters<ProcessKernel["spawnMonitor"]>[0];

let directory: string;
let cgroup: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "berth-monitor-"));
  const binary = join(directory, "stand-in");
  const source = join(import.meta.dirname, "monitor-stand-in.c");
  execFileSync("gcc", ["-static", "-Wall", "-Werror", "-o", binary, source]);
  await kernel.loadMonitor(binary);
  // From here on the file on disk does not matter.
  writeFileSync(binary, "");
});

afterAll(() => rmSync(directory, { recursive: true }));

beforeEach(async () => {
  cgroup = await freshCgroup();
  await kernel.createCgroup(cgroup);
});

afterEach(() => dropCgroup(cgroup));

function request(plan: string, more: Partial<Request> = {}): Request {
  return {
    title: "pod-1",
    cgroupPath: cgroup,
    stateDir: directory,
    socketPath: join(directory, "socket"),
    plan: Buffer.from(plan),
    timeoutMs: 10_000,
    ...more,
  };
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

function processes(): string {
  return readFileSync(join(cgroup, "cgroup.procs"), "utf8");
}

test("a monitor is born in its cgroup, as nobody's child, with four descriptors", async () => {
  const { pid, startTime } = await kernel.spawnMonitor(request("ready"));
  expect(kernel.processStartTime(pid)).toBe(startTime);
  expect(processes()).toBe(`${pid}\n`);
  const [descriptors, parent, leader, environment, ignored, blocked] = readFileSync(
    join(directory, "report"),
    "utf8",
  ).split(" ");
  expect(descriptors!.split(",").sort()).toEqual(["0", "1", "2", "3"]);
  expect(Number(parent)).not.toBe(process.pid);
  expect(readFileSync(`/proc/${parent}/stat`, "utf8")).toBeTruthy();
  expect([leader, environment, ignored, blocked]).toEqual(["1", "0", "0", "0"]);
  expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe(
    `berth-monitor\0pod-1\0${directory}\0${join(directory, "socket")}\0`,
  );
  for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe("/dev/null");
  expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
  expect(kernel.signalProcess({ pid, startTime }, 9)).toBe(true);
});

test("its binary is a memfd that cannot be written", async () => {
  const { pid } = await kernel.spawnMonitor(request("ready"));
  const program = `/proc/${pid}/exe`;
  expect(readlinkSync(program)).toMatch(/^\/memfd:berth-monitor/);
  expect(() => openSync(program, "r+")).toThrow(/ETXTBSY|EPERM/);
  expect(await kernel.killCgroup(cgroup, 10_000)).toBe(true);
});

test("many start at once, and a large plan arrives whole", async () => {
  const large = Buffer.alloc(1 << 20, "r");
  const started = await Promise.all(
    Array.from({ length: 8 }, () => kernel.spawnMonitor(request("", { plan: large }))),
  );
  expect(new Set(started.map(({ pid }) => pid)).size).toBe(8);
  expect(processes().trim().split("\n")).toHaveLength(8);
});

test("a refusal names the step of the plan", async () => {
  await expect(kernel.spawnMonitor(request("fails"))).rejects.toMatchObject({
    name: "KernelError",
    code: "RESOURCE_EXHAUSTED",
    step: "plan:7",
    errno: "ENOSPC",
    path: "/etc",
  });
  expect(processes()).toBe("");
});

test("a refusal outside the plan names the primitive", async () => {
  await expect(kernel.spawnMonitor(request("no step"))).rejects.toMatchObject({
    step: "bind",
    errno: "EADDRINUSE",
    path: join(directory, "socket"),
  });
});

test("a monitor that ends or hangs is reported and killed", async () => {
  await expect(kernel.spawnMonitor(request("x"))).rejects.toMatchObject({
    step: "start monitor",
    errno: "EPIPE",
  });
  await expect(kernel.spawnMonitor(request("hangs", { timeoutMs: 50 }))).rejects.toMatchObject({
    step: "start monitor",
    errno: "ETIMEDOUT",
  });
  expect(processes()).toBe("");
});

test("what cannot start leaves nothing", async () => {
  // Only the kinds that a start makes: the test runner opens and closes others meanwhile.
  const descriptors = () =>
    readdirSync("/proc/self/fd").filter((fd) => /pidfd|memfd:berth|\/cgroup\//.test(linkOf(fd))).length;
  const before = descriptors();
  await expect(
    kernel.spawnMonitor(request("ready", { cgroupPath: join(cgroup, "none") })),
  ).rejects.toMatchObject({
    errno: "ENOENT",
  });
  await expect(kernel.spawnMonitor(request("ready", { socketPath: "x".repeat(108) }))).rejects.toMatchObject({
    errno: "ENAMETOOLONG",
  });
  await expect(kernel.spawnMonitor(request(""))).rejects.toMatchObject({ errno: "EINVAL" });
  await expect(kernel.loadMonitor(join(directory, "none"))).rejects.toMatchObject({ errno: "ENOENT" });

  const broken = join(directory, "broken");
  writeFileSync(broken, "this is no program\n");
  await kernel.loadMonitor(broken);
  await expect(kernel.spawnMonitor(request("ready"))).rejects.toMatchObject({
    step: "execveat",
    errno: "ENOEXEC",
  });
  expect(processes()).toBe("");
  expect(descriptors()).toBe(before);
});
