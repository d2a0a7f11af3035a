// Every named step of every verb takes longer than the client waits. The client is told so in time, its next
// try joins what still runs or finds what it made, no name is stuck, and everybody else is served meanwhile.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Daemon } from "./daemon.ts";
import { POD_STATE, PROBE, STATE, Stage } from "./support/stage.ts";
import { stepsIn } from "./support/step-log.ts";

const LATE_MS = 900;
const DEADLINE_MS = 300;
const PATIENCE_MS = 30_000;

let stage: Stage;
let daemon: Daemon;
let delayFile: string;
let stepLog: string;

beforeAll(async () => {
  stage = await Stage.make([PROBE]);
  daemon = stage.daemon;
  delayFile = join(daemon.scratch.folder, "delay");
  stepLog = join(daemon.scratch.folder, "steps");
  await daemon.restart({ BERTH_DELAY_AT: delayFile, BERTH_STEP_LOG: stepLog });
});
afterAll(() => stage.remove());

interface Subject {
  readonly pod: string;
  readonly container: string;
}

interface Scenario {
  /** As steps name it. */
  readonly verb: string;
  prepare(): Promise<Subject>;
  request(subject: Subject, timeoutMs: number): Promise<unknown>;
  /** After a request that was answered. */
  done(subject: Subject, answer: unknown): Promise<void>;
}

const pods = async () =>
  (await daemon.ask<{ items: { id: string; state: number }[] }>("listPodSandbox", {}, 5_000)).items;
const containers = async () =>
  (await daemon.ask<{ containers: { id: string; state: number }[] }>("listContainers", {}, 5_000)).containers;

const NONE: Subject = { pod: "", container: "" };

async function running(): Promise<Subject> {
  const pod = await stage.runPod("subject");
  const container = await stage.run(pod, "c", PROBE, ["/probe", "stubborn"]);
  // From here on it is deaf to SIGTERM.
  await expect.poll(() => stage.output("subject", "c")).toContain("stubborn");
  return { pod, container };
}

async function created(): Promise<Subject> {
  const pod = await stage.runPod("subject");
  return { pod, container: await stage.create(pod, "c", PROBE, ["/probe", "sleep"]) };
}

function runRequest(timeoutMs: number): Promise<{ podSandboxId: string }> {
  const config = stage.podConfig("subject");
  mkdirSync(config.logDirectory, { recursive: true });
  return daemon.ask("runPodSandbox", { config }, timeoutMs);
}

function createRequest(podSandboxId: string, timeoutMs: number): Promise<{ containerId: string }> {
  const config = stage.containerConfig("c", PROBE, ["/probe", "sleep"]);
  return daemon.ask("createContainer", { podSandboxId, config }, timeoutMs);
}

const scenarios: Scenario[] = [
  {
    verb: "RunPodSandbox",
    prepare: async () => NONE,
    request: (_subject, timeoutMs) => runRequest(timeoutMs),
    async done(_subject, answer) {
      const { podSandboxId } = answer as { podSandboxId: string };
      expect(await pods()).toMatchObject([{ id: podSandboxId, state: POD_STATE.READY }]);
      expect((await stage.podStatus(podSandboxId)).network?.ip).toMatch(/^10\./);
    },
  },
  {
    verb: "CreateContainer",
    prepare: async () => ({ pod: await stage.runPod("subject"), container: "" }),
    request: ({ pod }, timeoutMs) => createRequest(pod, timeoutMs),
    async done(_subject, answer) {
      const { containerId } = answer as { containerId: string };
      expect(await containers()).toMatchObject([{ id: containerId, state: STATE.CREATED }]);
      await daemon.ask("startContainer", { containerId });
    },
  },
  {
    verb: "StartContainer",
    prepare: created,
    request: ({ container }, timeoutMs) =>
      daemon.ask("startContainer", { containerId: container }, timeoutMs),
    async done({ container }) {
      expect((await stage.exec(container, "/probe", "exit", "3")).code).toBe(3);
    },
  },
  {
    verb: "StopContainer",
    prepare: running,
    request: ({ container }, timeoutMs) =>
      daemon.ask("stopContainer", { containerId: container, timeout: 1n }, timeoutMs),
    async done({ container }) {
      expect(await stage.status(container)).toMatchObject({ state: STATE.EXITED, exitCode: 137 });
    },
  },
  {
    verb: "RemoveContainer",
    prepare: running,
    request: ({ container }, timeoutMs) =>
      daemon.ask("removeContainer", { containerId: container }, timeoutMs),
    async done({ pod }) {
      expect(await containers()).toEqual([]);
      // The name is free again.
      expect((await createRequest(pod, PATIENCE_MS)).containerId).not.toBe("");
    },
  },
  {
    verb: "StopPodSandbox",
    prepare: running,
    request: ({ pod }, timeoutMs) => daemon.ask("stopPodSandbox", { podSandboxId: pod }, timeoutMs),
    async done({ pod, container }) {
      expect((await stage.podStatus(pod)).state).toBe(POD_STATE.NOTREADY);
      expect((await stage.status(container)).state).toBe(STATE.EXITED);
    },
  },
  {
    verb: "RemovePodSandbox",
    prepare: running,
    request: ({ pod }, timeoutMs) => daemon.ask("removePodSandbox", { podSandboxId: pod }, timeoutMs),
    async done() {
      expect(await pods()).toEqual([]);
      expect(await containers()).toEqual([]);
    },
  },
];

async function clear(): Promise<void> {
  rmSync(delayFile, { force: true });
  await Promise.all((await pods()).map(({ id }) => stage.removePod(id)));
  // Logs are the client's: what the next container says must not be there before it does.
  rmSync(join(daemon.scratch.folder, "logs"), { recursive: true, force: true });
}

/** Names of the verb's steps in an undisturbed run. */
async function stepsOf(scenario: Scenario): Promise<string[]> {
  rmSync(stepLog, { force: true });
  await daemon.restart({ BERTH_DELAY_AT: delayFile, BERTH_STEP_LOG: stepLog });
  const subject = await scenario.prepare();
  await scenario.done(subject, await scenario.request(subject, PATIENCE_MS));
  await clear();
  return stepsIn(stepLog, scenario.verb);
}

async function beLateAt(point: string, scenario: Scenario): Promise<void> {
  const subject = await scenario.prepare();
  writeFileSync(delayFile, `${point} ${LATE_MS}\n`);
  await expect(scenario.request(subject, DEADLINE_MS)).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  });
  // It still runs: nobody else waits for it, and the next try does not trip over it.
  await pods();
  await containers();
  await scenario.done(subject, await scenario.request(subject, PATIENCE_MS));
}

test.each(scenarios.map((scenario) => [scenario.verb, scenario] as const))("%s", async (_, scenario) => {
  const points = await stepsOf(scenario);
  expect(points.length).toBeGreaterThan(2);
  const before = daemon.inventory();
  const problems: string[] = [];
  for (const point of points) {
    await beLateAt(point, scenario).catch((error) => {
      problems.push(`${point}: ${error instanceof Error ? error.message : error}\n${daemon.tail(8)}`);
    });
    await clear();
  }
  expect(problems.join("\n\n")).toBe("");
  expect((await daemon.leaks(before)).join("\n")).toBe("");
});

test("what ended after its caller had left is found by the next try", async () => {
  writeFileSync(delayFile, `RunPodSandbox/netns/after ${LATE_MS}\n`);
  await expect(runRequest(DEADLINE_MS)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await expect.poll(async () => (await pods()).length, { timeout: PATIENCE_MS }).toBe(1);
  rmSync(delayFile);
  const { podSandboxId } = await runRequest(PATIENCE_MS);
  expect(await pods()).toMatchObject([{ id: podSandboxId }]);

  writeFileSync(delayFile, `CreateContainer/plan/after ${LATE_MS}\n`);
  const late = createRequest(podSandboxId, DEADLINE_MS);
  await expect(late).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await expect.poll(async () => (await containers()).length, { timeout: PATIENCE_MS }).toBe(1);
  const { containerId } = await createRequest(podSandboxId, PATIENCE_MS);
  expect(await containers()).toMatchObject([{ id: containerId }]);
  await clear();
});

test("a pod that is removed while it is made leaves nothing", async () => {
  const before = daemon.inventory();
  const pod = await stage.runPod("subject");
  writeFileSync(delayFile, `CreateContainer/snapshot/after ${LATE_MS}\n`);
  const creating = createRequest(pod, PATIENCE_MS);
  creating.catch(() => {});
  await expect.poll(() => readFileSync(stepLog, "utf8")).toContain("CreateContainer/snapshot/after");
  await stage.removePod(pod);
  await expect(creating).rejects.toThrow();
  await clear();
  expect((await daemon.leaks(before)).join("\n")).toBe("");
});
