// Programs that a monitor runs to their end (hooks, commands of runtimes), and containers that wait for them.

import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import type { RunRequest } from "../../../src/monitor/monitor.ts";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { encodePlan } from "../../../src/spec/encode-plan.ts";
import { CLONE_NEWNS } from "../../../src/types/linux.ts";
import type { Plan, PlanStep } from "../../../src/types/plan.ts";
import { PROBE, type TestPod, usePods } from "./pod.ts";

const makePod = usePods();
let pod: TestPod;
let cgroup: string;

beforeEach(async () => {
  pod = await makePod();
  cgroup = join(pod.cgroup, "r-test");
  mkdirSync(cgroup);
});

function program(...argv: string[]): PlanStep[] {
  return [{ op: "exec", argv, env: ["PATH=/usr/bin:/bin", "MARK=here"], path: "/usr/bin:/bin" }];
}

function planOf(steps: PlanStep[], more: Partial<Plan> = {}): Uint8Array {
  return encodePlan({ cloneFlags: 0, pidNamespace: "own", steps, ...more });
}

function run(steps: PlanStep[], changes: Partial<RunRequest> = {}) {
  const request = { target: "", cgroup, limitMs: 10_000, stdin: Buffer.alloc(0), plan: planOf(steps) };
  return pod.monitor.run({ ...request, ...changes });
}

function leftOver(): string[] {
  return readdirSync(cgroup).filter((name) => name.startsWith("n-"));
}

test("answers with the exit and the end of both outputs", async () => {
  const outcome = await run(program("sh", "-c", "cat; echo out; echo err >&2; exit 7"), {
    stdin: Buffer.from("state\n"),
  });
  expect(outcome).toMatchObject({ exitCode: 7, signal: 0, timedOut: false });
  expect(outcome.output.toString()).toMatch(/^state\n/);
  expect(outcome.output.toString().split("\n").sort()).toEqual(["", "err", "out", "state"]);
  expect(leftOver()).toEqual([]);
});

test("keeps only the end of long outputs, and input longer than a pipe is no trouble", async () => {
  const stdin = Buffer.alloc(300_000, "x");
  const outcome = await run(program("sh", "-c", "cat; echo the end"), { stdin });
  expect(outcome.output.length).toBe(4096);
  expect(outcome.output.toString()).toMatch(/x\nthe end\n$|xthe end\n$/);
  expect((await run(program("true"), { stdin })).exitCode).toBe(0);
});

test("kills everything when the time is over", async () => {
  const outcome = await run(program("sh", "-c", "setsid sleep 1000 & echo begun; sleep 1000"), {
    limitMs: 300,
  });
  expect(outcome).toMatchObject({ exitCode: 137, signal: 9, timedOut: true });
  expect(outcome.output.toString()).toBe("begun\n");
  await expect.poll(() => leftOver().filter((name) => !isEmpty(join(cgroup, name)))).toEqual([]);
});

function isEmpty(path: string): boolean {
  return !existsSync(path) || readdirSync(path).includes("cgroup.procs");
}

test("does not wait for what the program leaves behind", async () => {
  const outcome = await run(program("sh", "-c", "sleep 1000 & exit 0"));
  expect(outcome).toMatchObject({ exitCode: 0, timedOut: false });
  await pod.kernel.killCgroup(cgroup, 5_000);
});

test("a step that fails is told by its index, and a file beside argv[0] is what runs", async () => {
  const steps: PlanStep[] = [{ op: "join-path", path: "/nowhere", flags: CLONE_NEWNS }, ...program("true")];
  await expect(run(steps)).rejects.toMatchObject({ step: "plan:0", errno: "ENOENT", path: "/nowhere" });
  await expect(run(program("/nowhere"))).rejects.toMatchObject({ step: "plan:0", errno: "ENOENT" });
  const exec: PlanStep = {
    op: "exec",
    argv: ["zero", "-c", "echo $0"],
    env: [],
    path: "/bin",
    file: "/bin/sh",
  };
  expect((await run([exec])).output.toString()).toBe("zero\n");
  await expect(run(program("true"), { target: "nobody" })).rejects.toMatchObject({ errno: "ESRCH" });
});

test("a container that pauses can be looked into before it enters its root", async () => {
  const input = pod.planInput([PROBE, "exit", "3"]);
  const whole = buildContainerPlan(input);
  const at = whole.steps.findIndex((step) => step.op === "pivot-root");
  const steps = whole.steps.toSpliced(at, 0, { op: "pause" });
  const container = await pod.prepare([], { input, request: { plan: encodePlan({ ...whole, steps }) } });
  // Nobody but who asked for it knows it: a daemon that starts now undoes it.
  const second = await pod.connect();
  expect(second.containers).toEqual([]);
  const joined: PlanStep[] = [{ op: "join", flags: CLONE_NEWNS }, ...program("ls", pod.paths.rootAttach)];
  const seen = await run(joined, { target: container.id });
  expect(seen.output.toString()).toContain("bin");
  await expect(pod.monitor.start(container.id)).rejects.toMatchObject({ errno: "EINVAL" });
  await pod.monitor.proceed(container.id);
  await pod.monitor.start(container.id);
  expect(await pod.exitOf(container.id)).toMatchObject({ exitCode: 3 });
});

test("a paused container can be forgotten, and only a paused one proceeds", async () => {
  const input = pod.planInput([PROBE, "exit", "3"]);
  const whole = buildContainerPlan(input);
  const steps: PlanStep[] = [{ op: "pause" }, ...whole.steps];
  const container = await pod.prepare([], { input, request: { plan: encodePlan({ ...whole, steps }) } });
  await pod.monitor.forget(container.id);
  await expect(pod.monitor.proceed(container.id)).rejects.toMatchObject({ errno: "ENOENT" });
  const other = await pod.prepare(["exit", "0"]);
  await expect(pod.monitor.proceed(other.id)).rejects.toMatchObject({ errno: "EINVAL" });
});
