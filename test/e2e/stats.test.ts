// Stats, metrics and events of a real engine, through the CRI.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type ContainerEventResponse,
  type ContainerStatsResponse,
  type ListMetricDescriptorsResponse,
  type ListPodSandboxMetricsResponse,
  type PodSandboxStatsResponse,
  RuntimeServiceService,
} from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { BUSYBOX, PROBE, STATE, Stage } from "./support/stage.ts";

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, PROBE]);
  daemon = stage.daemon;
});
afterAll(() => stage.remove());

const SPIN = ["sh", "-c", "while :; do :; done"];

test("stats are right at once after the start, and go on counting", async () => {
  const pod = await stage.runPod("spin");
  const containerId = await stage.run(pod, "c", BUSYBOX, SPIN);
  const ask = async () => (await daemon.ask<ContainerStatsResponse>("containerStats", { containerId })).stats;
  const first = await ask();
  for (const part of [first?.cpu, first?.memory, first?.writableLayer, first?.io]) {
    expect(part?.timestamp).toBeGreaterThan(1_700_000_000_000_000_000n);
  }
  expect(first?.memory?.workingSetBytes?.value).toBeGreaterThan(10_000n);
  expect(first?.cpu?.psi?.Some).toBeDefined();
  await expect
    .poll(async () => (await ask())?.cpu?.usageNanoCores?.value, { timeout: 20_000 })
    .toBeGreaterThan(50_000_000n);
  // One sweep serves whoever asks within a moment.
  await expect
    .poll(async () => (await ask())?.cpu?.usageCoreNanoSeconds?.value)
    .toBeGreaterThan(first?.cpu?.usageCoreNanoSeconds?.value ?? 0n);
  await stage.removePod(pod);
});

test("a pod's network, processes and what its containers wrote are counted", async () => {
  const pod = await stage.runPod("net");
  const id = await stage.run(pod, "c", BUSYBOX, [
    "sh",
    "-c",
    "dd if=/dev/zero of=/big bs=1M count=3; sleep 1000",
  ]);
  const quiet = await stage.run(pod, "quiet", BUSYBOX, ["sleep", "1000"]);
  const ask = async () =>
    (await daemon.ask<PodSandboxStatsResponse>("podSandboxStats", { podSandboxId: pod })).stats?.linux;
  const before = (await ask())?.network?.defaultInterface;
  expect(before?.name).toBe("eth0");
  await stage.exec(id, "ping", "-c", "3", "-W", "1", "10.255.255.254");
  await expect
    .poll(async () => (await ask())?.network?.defaultInterface?.txBytes?.value, { timeout: 10_000 })
    .toBeGreaterThan((before?.txBytes?.value ?? 0n) + 100n);
  const linux = await ask();
  expect(linux?.containers.map(({ attributes }) => attributes?.id)).toEqual([id, quiet]);
  // Two that sleep (the shell becomes the first when it has written), the monitor and the pod's init.
  await expect.poll(async () => (await ask())?.process?.processCount?.value).toBe(4n);
  await expect
    .poll(async () => (await ask())?.containers[0]?.writableLayer?.usedBytes?.value, { timeout: 30_000 })
    .toBeGreaterThanOrEqual(3n * 1024n * 1024n);
  await stage.removePod(pod);
});

test("every metric that is described has samples with its labels", async () => {
  const pod = await stage.runPod("metrics");
  const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
  const { descriptors } = await daemon.ask<ListMetricDescriptorsResponse>("listMetricDescriptors", {});
  const { podMetrics } = await daemon.ask<ListPodSandboxMetricsResponse>("listPodSandboxMetrics", {});
  const own = podMetrics.find(({ podSandboxId }) => podSandboxId === pod);
  const samples = [...(own?.metrics ?? []), ...(own?.containerMetrics[0]?.metrics ?? [])];
  expect(own?.containerMetrics.map(({ containerId }) => containerId)).toEqual([id]);
  for (const { name, labelKeys } of descriptors) {
    const found = samples.filter((sample) => sample.name === name);
    expect(found.length, name).toBeGreaterThan(0);
    for (const { labelValues } of found) expect(labelValues, name).toHaveLength(labelKeys.length);
  }
  const counted = (name: string) => samples.find((sample) => sample.name === name)?.value?.value;
  expect(counted("container_processes")).toBe(1n);
  expect(counted("container_file_descriptors")).toBe(3n);
  expect(counted("container_ulimits_soft")).toBe(1024n);
  expect(counted("container_fs_limit_bytes")).toBeGreaterThan(1_000_000n);
  await stage.removePod(pod);
});

/** Reads events until it is told to stop. */
function follow() {
  const Constructor = makeGenericClientConstructor(RuntimeServiceService, "");
  const options = { "grpc.use_local_subchannel_pool": 1 };
  const client = new Constructor(`unix:${daemon.scratch.socket}`, credentials.createInsecure(), options);
  const events: ContainerEventResponse[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: a generic client has no types.
  const stream = (client as any).getContainerEvents({});
  stream.on("data", (event: ContainerEventResponse) => events.push(event));
  let outcome = "open";
  stream.on("error", () => {
    outcome = "failed";
  });
  stream.on("end", () => {
    outcome = "ended";
  });
  const of = (id: string) => events.filter(({ containerId }) => containerId === id);
  const types = (id: string) => of(id).map(({ containerEventType }) => containerEventType);
  return { of, types, outcome: () => outcome, end: () => client.close() };
}

test("an exit that happened while the daemon was down is told when it is back", async () => {
  const pod = await stage.runPod("events");
  const hostPath = daemon.scratch.cniFolder;
  const script = "until [ -e /data/go ]; do sleep 0.05; done; echo going; exit 7";
  const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script], {
    mounts: [{ containerPath: "/data", hostPath }],
  });
  await daemon.stop("SIGKILL");
  writeFileSync(join(hostPath, "go"), "");
  await expect.poll(() => stage.output("events", "c")).toBe("going\n");
  rmSync(join(hostPath, "go"));
  await daemon.start();
  const reader = follow();
  await expect.poll(() => reader.types(id), { timeout: 10_000 }).toEqual([2]);
  const status = reader.of(id)[0]?.containersStatuses[0];
  expect(status).toMatchObject({ id, state: STATE.EXITED, exitCode: 7 });
  await daemon.ask("removeContainer", { containerId: id });
  await stage.removePod(pod);
  await expect.poll(() => reader.types(id)).toEqual([2, 3]);
  await expect.poll(() => reader.types(pod)).toEqual([2, 3]);
  reader.end();
});

test("a daemon that stops ends the streams of its readers at once", async () => {
  const reader = follow();
  const pod = await stage.runPod("stopping");
  await expect.poll(() => reader.types(pod)).toEqual([0, 1]);
  expect(await daemon.stop("SIGTERM")).toBe(0);
  // Not cut off: told.
  await expect.poll(() => reader.outcome()).not.toBe("open");
  expect(reader.outcome()).toBe("ended");
  reader.end();
  await daemon.start();
  await stage.removePod(pod);
});
