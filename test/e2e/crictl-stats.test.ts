// What crictl shows of the use of resources, of limits and of events.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, type TestContext, test } from "vitest";
import { thisHost } from "../critest/exceptions.ts";
import type { Daemon } from "./daemon.ts";
import { CRICTL } from "./support/clients.ts";
import { CrictlFiles } from "./support/crictl-files.ts";
import { BUSYBOX, Stage } from "./support/stage.ts";

let stage: Stage;
let daemon: Daemon;
let files: CrictlFiles;
let podId: string;
let id: string;

beforeAll(async () => {
  stage = await Stage.make([BUSYBOX]);
  daemon = stage.daemon;
  files = new CrictlFiles(daemon.scratch);
  podId = await daemon.crictl("runp", files.pod("pod", { labels: { tier: "front" } }));
  // Busy, so that there is something to see.
  const command = ["sh", "-c", "while :; do :; done"];
  const container = files.container("busy", BUSYBOX, { command, labels: { app: "x" } });
  id = await daemon.crictl("create", "--no-pull", podId, container, files.pod("pod"));
  await daemon.crictl("start", id);
});
afterAll(() => stage?.remove());

const json = async (verb: string, ...args: string[]) =>
  JSON.parse(await daemon.crictl(verb, "-o", "json", ...args));

test("stats shows what a container uses, by id, pod and label", async () => {
  for (const filter of [["--id", id], ["--pod", podId], ["--label", "app=x"], [id.slice(0, 13)], []]) {
    const { stats } = await json("stats", ...filter);
    expect(stats, filter.join(" ")).toHaveLength(1);
    expect(stats[0].attributes).toMatchObject({ id, metadata: { name: "busy" }, labels: { app: "x" } });
    expect(Number(stats[0].cpu.usageCoreNanoSeconds.value)).toBeGreaterThan(0);
    expect(Number(stats[0].cpu.timestamp)).toBeGreaterThan(0);
    expect(stats[0].writableLayer.fsId.mountpoint).toContain(daemon.scratch.root);
  }
  expect((await json("stats", "--label", "app=y")).stats ?? []).toEqual([]);
  const table = await daemon.crictl("stats", "--seconds", "1");
  expect(table).toMatch(/CONTAINER +NAME +CPU % +MEM/);
  // CRI: more than nothing of one CPU, at most all of it.
  const percent = Number(/busy +([\d.]+)/.exec(table)?.[1]);
  expect(percent).toBeGreaterThan(1);
  expect(percent).toBeLessThan(150);
});

test("statsp shows a pod with its containers, network and processes", async () => {
  for (const filter of [["--id", podId], ["--label", "tier=front"], []]) {
    const { stats } = await json("statsp", ...filter);
    expect(stats, filter.join(" ")).toHaveLength(1);
    const { attributes, linux } = stats[0];
    expect(attributes).toMatchObject({ id: podId, labels: { tier: "front" } });
    expect(linux.network.defaultInterface.name).toBe("eth0");
    expect(Number(linux.process.processCount.value)).toBeGreaterThan(0);
    expect(linux.containers.map((one: { attributes: { id: string } }) => one.attributes.id)).toEqual([id]);
  }
  expect(await daemon.crictl("statsp")).toMatch(/POD +POD ID +CPU %/);
});

test("every metric of metricsp is described by metricdescs, with as many labels", async () => {
  const { descriptors } = JSON.parse(await daemon.crictl("metricdescs"));
  const labels = new Map<string, number>(
    descriptors.map((one: { name: string; labelKeys: string[] }) => [one.name, one.labelKeys.length]),
  );
  expect(labels.size).toBeGreaterThan(30);
  const { podMetrics } = await json("metricsp");
  expect(podMetrics.map((pod: { podSandboxId: string }) => pod.podSandboxId)).toEqual([podId]);
  const [pod] = podMetrics;
  const metrics = [...pod.metrics, ...pod.containerMetrics.flatMap((one: { metrics: [] }) => one.metrics)];
  expect(metrics.length).toBeGreaterThan(20);
  for (const { name, labelValues } of metrics) expect(labelValues.length, name).toBe(labels.get(name));
});

test("update changes limits, which inspect then shows", async (context: TestContext) => {
  context.skip(!thisHost().memoryController, "the host lacks the cgroup v2 controllers memory and cpu");
  await daemon.crictl("update", "--memory", String(256 << 20), "--cpu-share", "512", id);
  const { status } = await json("inspect", id);
  expect(status.resources.linux).toMatchObject({
    memoryLimitInBytes: String(256 << 20),
    cpuShares: "512",
  });
});

test("update refuses what the host cannot limit, and says what is missing", async (context: TestContext) => {
  context.skip(thisHost().memoryController, "the host has the controller");
  const { code, stderr } = await daemon.tryCrictl("update", "--memory", String(256 << 20), id);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/needs the cgroup v2 controller .*memory/);
  const { status } = await json("inspect", id);
  expect(status.resources?.linux?.memoryLimitInBytes ?? "0").toBe("0");
});

interface Watched {
  readonly child: ChildProcess;
  readonly seen: () => string;
}

function watchEvents(): Watched {
  const args = ["--runtime-endpoint", `unix://${daemon.scratch.socket}`, "events", "-o", "go-template"];
  const template = "{{.containerId}} {{.containerEventType}}\n";
  const child = spawn(CRICTL, [
    "-c",
    join(daemon.scratch.folder, "crictl.yaml"),
    ...args,
    "--template",
    template,
  ]);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  return { child, seen: () => text };
}

test("events shows the life of pods and containers in order", async () => {
  const { child, seen } = watchEvents();
  try {
    // Whoever comes later is told nothing of before: only once something is seen is everything.
    let warm = 0;
    await expect
      .poll(async () => {
        const pod = await daemon.crictl("runp", files.pod(`warm${warm++}`));
        await daemon.crictl("rmp", "-f", pod);
        return seen();
      })
      .not.toBe("");
    const pod = await daemon.crictl("runp", files.pod("told"));
    const brief = files.container("brief", BUSYBOX, { command: ["sleep", "1000"] });
    const one = await daemon.crictl("create", "--no-pull", pod, brief, files.pod("told"));
    await daemon.crictl("start", one);
    await daemon.crictl("stop", "--timeout", "0", one);
    await daemon.crictl("rm", one);
    await daemon.crictl("rmp", "-f", pod);
    const of = (subject: string) =>
      seen()
        .split("\n")
        .filter((line) => line.startsWith(subject))
        .map((line) => line.replace(/.* CONTAINER_(.*)_EVENT$/, "$1"));
    const whole = ["CREATED", "STARTED", "STOPPED", "DELETED"];
    await expect.poll(() => of(pod)).toEqual(whole);
    expect(of(one)).toEqual(whole);
  } finally {
    child.kill("SIGKILL");
  }
});
