// The daemon dies and comes back: nothing that ran notices, and everything is shown as it is.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Daemon } from "./daemon.ts";
import { removeVolatile } from "./support/scratch.ts";
import { BUSYBOX, POD_STATE, PROBE, STATE, Stage } from "./support/stage.ts";

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, PROBE]);
  daemon = stage.daemon;
});
afterAll(() => stage.remove());

let before: string[];
beforeEach(() => {
  before = daemon.inventory();
});
afterEach(async () => {
  await stage.removePods();
  expect(await daemon.leaks(before)).toEqual([]);
});

/** Process IDs in the pod's "monitor" cgroup or in one of its containers'. */
function pidsIn(podId: string, leaf: string): number[] {
  const pod = `${daemon.scratch.netnsPrefix}${podId.slice(0, 32)}`;
  const text = readFileSync(join(daemon.scratch.cgroup, pod, leaf, "cgroup.procs"), "utf8");
  return text.trim().split("\n").map(Number);
}

const containerLeaf = (id: string) => `c-${id.slice(0, 32)}`;

/** The monitor is the parent of the pod's init. */
function monitorOf(podId: string): number {
  return Math.min(...pidsIn(podId, "monitor"));
}

/** Kills a process and waits until it is gone. */
async function killAndAwait(pid: number, signal: NodeJS.Signals): Promise<void> {
  process.kill(pid, signal);
  while (isAlive(pid)) await sleep(5);
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("containers run on, and go on being logged, while the daemon is dead", async () => {
  const pod = await stage.runPod("living");
  const script = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done";
  const containerId = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script]);
  await daemon.stop("SIGKILL");
  const seen = stage.output("living", "c").split("\n").length;
  await expect.poll(() => stage.output("living", "c").split("\n").length).toBeGreaterThan(seen + 3);
  await daemon.start();
  expect(await stage.status(containerId)).toMatchObject({ state: STATE.RUNNING });
  expect(await stage.podStatus(pod)).toMatchObject({ state: POD_STATE.READY });
  expect((await stage.exec(containerId, "echo", "hello")).out).toBe("hello\n");
  await daemon.ask("stopContainer", { containerId, timeout: 0n });
  const numbers = stage.output("living", "c").trim().split("\n").map(Number);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test("what ended meanwhile has its exit code and time", async () => {
  const pod = await stage.runPod("ended");
  const wait = (code: number) => ["sh", "-c", `while [ ! -e /go ]; do sleep 0.01; done; exit ${code}`];
  const ids: string[] = [];
  for (const code of [0, 7, 42]) ids.push(await stage.run(pod, `c${code}`, BUSYBOX, wait(code)));
  const killed = await stage.run(pod, "killed", BUSYBOX, ["sleep", "1000"]);
  const pids = ids.map((id) => pidsIn(pod, containerLeaf(id))[0] as number);
  const victim = pidsIn(pod, containerLeaf(killed))[0] as number;
  await daemon.stop("SIGKILL");
  const away = BigInt(Date.now()) * 1_000_000n;
  // From outside, as the daemon is not there to exec.

  for (const pid of pids) writeFileSync(`/proc/${pid}/root/go`, "");
  await killAndAwait(victim, "SIGKILL");
  for (const pid of pids) while (isAlive(pid)) await sleep(5);
  await daemon.start();
  const back = BigInt(Date.now()) * 1_000_000n;
  const ends = await Promise.all([...ids, killed].map((id) => stage.status(id)));
  expect(ends.map((end) => [end.state, end.exitCode, end.reason])).toEqual([
    [STATE.EXITED, 0, "Completed"],
    [STATE.EXITED, 7, "Error"],
    [STATE.EXITED, 42, "Error"],
    [STATE.EXITED, 137, "Error"],
  ]);
  for (const { finishedAt } of ends) {
    expect(finishedAt).toBeGreaterThan(away);
    expect(finishedAt).toBeLessThan(back);
  }
});

test("a created container can be started afterwards; images are still there", async () => {
  const pod = await stage.runPod("created");
  const containerId = await stage.create(pod, "c", BUSYBOX, ["echo", "late"]);
  await daemon.restart();
  expect(await stage.status(containerId)).toMatchObject({ state: STATE.CREATED });
  await daemon.ask("startContainer", { containerId });
  expect(await stage.exited(containerId)).toMatchObject({ exitCode: 0 });
  expect(stage.output("created", "c")).toBe("late\n");
  const { images } = await daemon.ask<{ images: { repoTags: string[] }[] }>("listImages", {});
  expect(images.flatMap((image) => image.repoTags).sort()).toEqual([BUSYBOX, PROBE]);
});

test("an orderly stop leaves containers running too", async () => {
  const pod = await stage.runPod("orderly");
  const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
  expect(await daemon.stop("SIGTERM")).toBe(0);
  await daemon.start();
  expect(await stage.status(id)).toMatchObject({ state: STATE.RUNNING });
});

test("a stopped monitor holds nobody up, and wakes to a daemon that knows it", async () => {
  const hung = await stage.runPod("hung");
  const inHung = await stage.run(hung, "c", BUSYBOX, ["sleep", "1000"]);
  const well = await stage.runPod("well");
  const inWell = await stage.run(well, "c", BUSYBOX, ["sleep", "1000"]);
  const monitor = monitorOf(hung);
  process.kill(monitor, "SIGSTOP");
  await daemon.restart();
  expect(await stage.status(inHung)).toMatchObject({ state: STATE.RUNNING });
  expect(await stage.podStatus(hung)).toMatchObject({ state: POD_STATE.READY });
  expect((await stage.exec(inWell, "echo", "well")).out).toBe("well\n");
  process.kill(monitor, "SIGCONT");
  const exec = () => stage.exec(inHung, "echo", "awake").catch((error: Error) => ({ out: error.message }));
  await expect.poll(async () => (await exec()).out, { timeout: 20_000 }).toBe("awake\n");
});

test("a pod whose monitor hangs for ever is removed all the same", async () => {
  const pod = await stage.runPod("stuck");
  await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
  process.kill(monitorOf(pod), "SIGSTOP");
  await daemon.restart();
  await stage.removePod(pod);
  expect(await daemon.leaks(before)).toEqual([]);
});

test.each([["while the daemon looks"], ["while it is away"]])("a monitor that is killed %s", async (when) => {
  const pod = await stage.runPod("lost");
  const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
  if (when.includes("away")) await daemon.stop("SIGKILL");
  await killAndAwait(monitorOf(pod), "SIGKILL");
  if (when.includes("away")) await daemon.start();
  await expect.poll(async () => (await stage.podStatus(pod)).state).toBe(POD_STATE.NOTREADY);
  await expect.poll(async () => (await stage.status(id)).state).toBe(STATE.EXITED);
  expect((await stage.status(id)).exitCode).not.toBe(0);
});

test("after a reboot pods are NOTREADY, their containers ended, and all of it can be removed", async () => {
  const pod = await stage.runPod("rebooted");
  const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
  await daemon.stop("SIGKILL");
  // What a reboot takes: processes, cgroups, namespaces, and everything in /run.
  await removeVolatile(daemon.scratch);
  await daemon.start();
  expect((await stage.podStatus(pod)).state).toBe(POD_STATE.NOTREADY);
  expect(await stage.status(id)).toMatchObject({ state: STATE.EXITED });
  expect((await stage.status(id)).exitCode).not.toBe(0);
  const again = await stage.runPod("again");
  expect((await stage.exec(await stage.run(again, "c", BUSYBOX, ["sleep", "1000"]), "true")).code).toBe(0);
});

test("a second daemon on the same directories is refused, and the first goes on", async () => {
  const { root, state, config, folder } = daemon.scratch;
  const flags = { root, state, config, socket: join(folder, "second.sock") };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const bundle = join(import.meta.dirname, "../../out/berthd.mjs");
  const second = spawnSync(process.execPath, [bundle, ...args], { encoding: "utf8", timeout: 20_000 });
  expect(second.status).toBe(1);
  expect(second.stderr).toContain(root);
  expect(await daemon.crictl("version")).toContain("berth");
});
