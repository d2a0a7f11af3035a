// The daemon kills itself at every named step of every verb that makes or removes something. Started again,
// it has lost nothing, shows nothing wrong and leaks nothing, and the same request then succeeds.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Daemon } from "./daemon.ts";
import { type CrashScenario, dieAtEveryStep } from "./support/die-at-every-step.ts";
import { BUSYBOX, POD_STATE, PROBE, STATE, Stage } from "./support/stage.ts";

let stage: Stage;
let daemon: Daemon;
/** Runs from the first test to the last, and must never notice anything. */
let bystander: { pod: string; container: string };

beforeAll(async () => {
  stage = await Stage.make([PROBE], [BUSYBOX]);
  daemon = stage.daemon;
  const pod = await stage.runPod("bystander");
  bystander = { pod, container: await stage.run(pod, "c", PROBE, ["/probe", "sleep"]) };
  // The first exec leaves a cgroup for the next one.
  await checkBystander();
  await daemon.stop("SIGKILL");
});
afterAll(async () => {
  await daemon.restart();
  await stage.remove();
});

interface Subject {
  pod: string;
  container: string;
}

type Scenario = Omit<CrashScenario<Subject>, "clear">;

const NONE: Subject = { pod: "", container: "" };

const pods = async () =>
  (await daemon.ask<{ items: { id: string; state: number }[] }>("listPodSandbox", {})).items.filter(
    ({ id }) => id !== bystander.pod,
  );
const containers = async () =>
  (await daemon.ask<{ containers: { id: string; state: number }[] }>("listContainers", {})).containers.filter(
    ({ id }) => id !== bystander.container,
  );
const states = async () => (await containers()).map(({ state }) => state);

async function running(): Promise<Subject> {
  const pod = await stage.runPod("subject");
  const container = await stage.run(pod, "c", PROBE, ["/probe", "stubborn"]);
  // From here on it is deaf to SIGTERM.
  await expect.poll(() => stage.output("subject", "c")).toContain("stubborn");
  return { pod, container };
}

async function createdOnly(): Promise<Subject> {
  const pod = await stage.runPod("subject");
  return { pod, container: await stage.create(pod, "c", PROBE, ["/probe", "sleep"]) };
}

const scenarios: Scenario[] = [
  {
    verb: "RunPodSandbox",
    prepare: async () => NONE,
    request: () => stage.runPod("subject"),
    async recovered() {
      for (const pod of await pods()) expect(pod.state).toBe(POD_STATE.READY);
    },
    async done() {
      const [pod, ...others] = await pods();
      expect(others).toEqual([]);
      expect(pod?.state).toBe(POD_STATE.READY);
      expect((await stage.podStatus(pod?.id ?? "")).network?.ip).toMatch(/^10\./);
      const id = await stage.run(pod?.id ?? "", "c", PROBE, ["/probe", "exit", "5"]);
      expect((await stage.exited(id)).exitCode).toBe(5);
    },
  },
  {
    verb: "CreateContainer",
    prepare: async () => ({ pod: await stage.runPod("subject"), container: "" }),
    request: ({ pod }) => stage.create(pod, "c", PROBE, ["/probe", "exit", "6"]),
    async recovered() {
      for (const state of await states()) expect(state).toBe(STATE.CREATED);
    },
    async done() {
      const [container, ...others] = await containers();
      expect(others).toEqual([]);
      await daemon.ask("startContainer", { containerId: container?.id ?? "" });
      expect((await stage.exited(container?.id ?? "")).exitCode).toBe(6);
    },
  },
  {
    verb: "StartContainer",
    prepare: createdOnly,
    request: ({ container: containerId }) => daemon.ask("startContainer", { containerId }),
    async recovered({ container }) {
      // What the log says is the truth: nothing is written before the start.
      const [state] = await states();
      expect([STATE.CREATED, STATE.RUNNING]).toContain(state);
      if (state === STATE.RUNNING) expect((await stage.exec(container, "/probe", "exit", "3")).code).toBe(3);
    },
    async done({ container }) {
      expect(await states()).toEqual([STATE.RUNNING]);
      await daemon.ask("stopContainer", { containerId: container, timeout: 30n });
      expect((await stage.status(container)).exitCode).toBe(0);
    },
  },
  {
    verb: "StopContainer",
    prepare: running,
    request: ({ container: containerId }) => daemon.ask("stopContainer", { containerId, timeout: 1n }),
    async recovered({ container }) {
      const { state, exitCode } = await stage.status(container);
      expect([STATE.RUNNING, STATE.EXITED]).toContain(state);
      if (state === STATE.EXITED) expect(exitCode).toBe(137);
    },
    async done({ container }) {
      expect(await stage.status(container)).toMatchObject({ state: STATE.EXITED, exitCode: 137 });
    },
  },
  {
    verb: "RemoveContainer",
    prepare: running,
    request: ({ container: containerId }) => daemon.ask("removeContainer", { containerId }),
    async recovered() {
      for (const state of await states()) expect([STATE.RUNNING, STATE.EXITED]).toContain(state);
    },
    async done({ pod }) {
      expect(await states()).toEqual([]);
      expect((await stage.podStatus(pod)).state).toBe(POD_STATE.READY);
    },
  },
  {
    verb: "StopPodSandbox",
    prepare: running,
    request: ({ pod: podSandboxId }) => daemon.ask("stopPodSandbox", { podSandboxId }),
    async recovered({ pod, container }) {
      const { state } = await stage.podStatus(pod);
      const ended = (await stage.status(container)).state;
      // A container may end before its pod counts as stopped, never outlive it for good.
      if (state === POD_STATE.READY) expect([STATE.RUNNING, STATE.EXITED]).toContain(ended);
    },
    async done({ pod, container }) {
      expect((await stage.podStatus(pod)).state).toBe(POD_STATE.NOTREADY);
      expect(await stage.status(container)).toMatchObject({ state: STATE.EXITED, exitCode: 137 });
    },
  },
  {
    verb: "RemovePodSandbox",
    prepare: running,
    request: ({ pod: podSandboxId }) => daemon.ask("removePodSandbox", { podSandboxId }),
    async recovered() {
      expect((await pods()).length).toBeLessThanOrEqual(1);
    },
    async done() {
      expect(await pods()).toEqual([]);
      expect(await states()).toEqual([]);
    },
  },
  {
    verb: "pullImage",
    prepare: async () => NONE,
    request: () => daemon.ask("pullImage", { image: { image: BUSYBOX } }),
    recovered: () => checkImage(false),
    done: () => checkImage(true),
  },
  {
    verb: "removeImage",
    async prepare() {
      await daemon.ask("pullImage", { image: { image: BUSYBOX } });
      return NONE;
    },
    request: () => daemon.ask("removeImage", { image: { image: BUSYBOX } }),
    recovered: () => checkImage(false),
    async done() {
      expect((await daemon.ask<{ image?: object }>("imageStatus", { image: { image: BUSYBOX } })).image).toBe(
        undefined,
      );
    },
  },
];

/** An image that is there is whole: a program of it runs. */
async function checkImage(mustBeThere: boolean): Promise<void> {
  const found = await daemon.ask<{ image?: { id: string } }>("imageStatus", { image: { image: BUSYBOX } });
  if (mustBeThere) expect(found.image?.id).toMatch(/^sha256:/);
  if (found.image === undefined) return;
  const pod = await stage.runPod("image");
  const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", "exit 9"]);
  expect((await stage.exited(id)).exitCode).toBe(9);
  await stage.removePod(pod);
}

/** Pods first: images in use stay. */
async function clear(): Promise<void> {
  await Promise.all((await pods()).map(({ id }) => stage.removePod(id)));
  await daemon.ask("removeImage", { image: { image: BUSYBOX } });
}

async function checkBystander(): Promise<void> {
  expect((await stage.podStatus(bystander.pod)).state).toBe(POD_STATE.READY);
  expect((await stage.status(bystander.container)).state).toBe(STATE.RUNNING);
  expect((await stage.exec(bystander.container, "/probe", "exit", "4")).code).toBe(4);
}

test.each(scenarios.map((scenario) => [scenario.verb, scenario] as const))("%s", async (_, scenario) => {
  const recovered = async (subject: Subject) => {
    await checkBystander();
    await scenario.recovered(subject);
  };
  const points = await dieAtEveryStep(daemon, { ...scenario, recovered, clear });
  expect(points.length).toBeGreaterThan(2);
});
