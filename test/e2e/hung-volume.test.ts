// A volume on a dead file server: its own pod waits, and nobody else does, not even across a restart of the
// daemon. More pods hang here than Node has threads.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Daemon } from "./daemon.ts";
import { POD_STATE, PROBE, STATE, Stage } from "./support/stage.ts";

const HUNG_PODS = 6;
/** Everybody else is answered within this. */
const ANSWER_MS = 10_000;

let stage: Stage;
let daemon: Daemon;
let program: string;
let directory: string;
let server: ChildProcess | null = null;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-hung-"));
  program = join(folder, "hung-filesystem");
  directory = join(folder, "mnt");
  mkdirSync(directory);
  execFileSync("gcc", ["-Wall", "-Werror", "-o", program, join(import.meta.dirname, "hung_filesystem.c")]);
  stage = await Stage.make([PROBE]);
  daemon = stage.daemon;
});
afterAll(async () => {
  await stage.remove();
  rmSync(program, { force: true });
  rmdirSync(directory);
  rmdirSync(join(directory, ".."));
});

beforeEach(async (context) => {
  context.skip(!existsSync("/dev/fuse"), "this host has no /dev/fuse");
  server = spawn(program, [directory], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(server.stdout as NodeJS.ReadableStream, "data");
  expect(String(line)).toBe("mounted\n");
});
afterEach(() => revive());

/** The file server comes back with an error for all who wait. */
async function revive(): Promise<void> {
  if (server === null) return;
  server.kill("SIGTERM");
  await once(server, "exit");
  server = null;
  execFileSync("umount", ["-l", directory]);
}

const hungVolume = () => ({ mounts: [{ containerPath: "/data", hostPath: join(directory, "volume") }] });

function createHung(pod: string, timeoutMs: number): Promise<unknown> {
  const config = stage.containerConfig("hung", PROBE, ["/probe", "sleep"], hungVolume());
  return daemon.ask("createContainer", { podSandboxId: pod, config }, timeoutMs);
}

/** What a node does all the time, each call with its deadline. */
async function othersAreServed(name: string): Promise<void> {
  const ask = <T>(method: string, request: object) => daemon.ask<T>(method, request, ANSWER_MS);
  await ask("listContainers", {});
  await ask("listPodSandbox", {});
  await ask("status", {});
  await ask("imageFsInfo", {});
  await ask("listImages", {});
  await ask("listContainerStats", {});
  await ask("listPodSandboxStats", {});
  await ask("listPodSandboxMetrics", {});
  const config = stage.podConfig(name);
  mkdirSync(config.logDirectory, { recursive: true });
  const { podSandboxId } = await ask<{ podSandboxId: string }>("runPodSandbox", { config });
  const request = { podSandboxId, config: stage.containerConfig("c", PROBE, ["/probe", "sleep"]) };
  const { containerId } = await ask<{ containerId: string }>("createContainer", request);
  await ask("startContainer", { containerId });
  const exec = { containerId, cmd: ["/probe", "exit", "5"], timeout: 10n };
  expect(await ask("execSync", exec)).toMatchObject({ exitCode: 5 });
  await ask("stopContainer", { containerId, timeout: 5n });
  await ask("removePodSandbox", { podSandboxId });
}

test("delays its own pod alone", async () => {
  const before = daemon.inventory();
  const bystander = await stage.runPod("bystander");
  const neighbour = await stage.run(bystander, "c", PROBE, ["/probe", "sleep"]);
  const pods: string[] = [];
  for (let n = 0; n < HUNG_PODS; n++) pods.push(await stage.runPod(`hung-${n}`));
  for (const attempt of await Promise.allSettled(pods.map((pod) => createHung(pod, 1_000)))) {
    expect(attempt).toMatchObject({ reason: { code: status.DEADLINE_EXCEEDED } });
  }
  await othersAreServed("while-hung");
  // The next try joins the first: it waits as well, and no name is stuck.
  await expect(createHung(pods[0] as string, 500)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  // It cannot be stopped while its process is stuck in the kernel, which delays nobody either.
  const stopping = daemon.ask("stopPodSandbox", { podSandboxId: pods[1] }, 20_000);
  stopping.catch(() => {});
  await othersAreServed("while-stopping");

  await daemon.restart();
  await othersAreServed("after-restart");
  expect((await stage.status(neighbour)).state).toBe(STATE.RUNNING);
  expect((await stage.podStatus(pods[0] as string)).state).toBe(POD_STATE.READY);
  await expect(stopping).rejects.toThrow();

  await revive();
  await Promise.all([...pods, bystander].map((pod) => stage.removePod(pod)));
  expect((await daemon.leaks(before)).join("\n")).toBe("");
});
