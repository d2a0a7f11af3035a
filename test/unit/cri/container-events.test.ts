// GetContainerEvents: order, what each event carries, many readers, slow ones, those that come late.

import { status } from "@grpc/grpc-js";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ContainerEvents } from "../../../src/cri/container-events.ts";
import { bindVerbs } from "../../../src/cri/verbs.ts";
import {
  ContainerConfig,
  type ContainerEventResponse,
  type CreateContainerResponse,
  PodSandboxConfig,
  type PodSandboxStatusResponse,
  type RunPodSandboxResponse,
} from "../../../src/gen/runtime/v1/api.ts";
import { EventFeed } from "../../../src/lib/event-feed.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import type { BerthEvent } from "../../../src/types/events.ts";
import { IMAGE_ID, makeWorld, podConfig } from "../containers/world.ts";
import { type Edge, makeEdge } from "./edge.ts";

const [CREATED, STARTED, STOPPED, DELETED] = [0, 1, 2, 3];

async function runPod(edge: Edge): Promise<string> {
  const metadata = { name: "web", uid: "u", namespace: "prod", attempt: 0 };
  const config = PodSandboxConfig.fromPartial({ metadata });
  return (await edge.ask<RunPodSandboxResponse>("runPodSandbox", { config })).podSandboxId;
}

async function create(edge: Edge, podSandboxId: string, name: string): Promise<string> {
  const config = ContainerConfig.fromPartial({
    metadata: { name, attempt: 0 },
    image: { image: IMAGE_ID },
  });
  return (await edge.ask<CreateContainerResponse>("createContainer", { podSandboxId, config })).containerId;
}

/** A whole life; the monitor tells the end. */
async function liveAndDie(edge: Edge): Promise<{ pod: string; container: string }> {
  const pod = await runPod(edge);
  const container = await create(edge, pod, "c");
  await edge.ask("startContainer", { containerId: container });
  const exit = { finishedAt: 99, exitCode: 3, signal: 0, oomKilled: false };
  edge.world.driver.monitors.get(pod)?.events.onExit(container, exit);
  await edge.ask("removePodSandbox", { podSandboxId: pod });
  return { pod, container };
}

describe("events", () => {
  it("come in order, to every reader, with the state of pod and containers", async () => {
    const edge = await makeEdge();
    const readers = [edge.follow("getContainerEvents"), edge.follow("getContainerEvents")];
    await edge.settled();
    const { pod, container } = await liveAndDie(edge);
    for (const reader of readers) {
      await expect.poll(() => reader.items.length).toBe(8);
      const events = reader.items as ContainerEventResponse[];
      expect(events.map((event) => [event.containerId, event.containerEventType])).toEqual([
        [pod, CREATED],
        [pod, STARTED],
        [container, CREATED],
        [container, STARTED],
        [container, STOPPED],
        [pod, STOPPED],
        [container, DELETED],
        [pod, DELETED],
      ]);
      expect(events.map(({ podSandboxStatus }) => podSandboxStatus?.id)).toEqual(Array(8).fill(pod));
      expect(events.map(({ podSandboxStatus }) => podSandboxStatus?.state)).toEqual([0, 0, 0, 0, 0, 1, 1, 1]);
      const states = events.map(({ containersStatuses }) => containersStatuses.map(({ state }) => state));
      expect(states).toEqual([[], [], [0], [1], [2], [2], [], []]);
      expect(events[4]?.containersStatuses[0]).toMatchObject({ exitCode: 3, reason: "Error" });
      const times = events.map(({ createdAt }) => createdAt);
      expect(times).toEqual([...times].sort((a, b) => Number(a - b)));
      expect(times[0]).toBeGreaterThan(10n ** 18n);
      reader.cancel();
    }
  });

  it("that nobody read are told to who comes later, as long as their pod is there", async () => {
    const edge = await makeEdge();
    const { pod: gone } = await liveAndDie(edge);
    const pod = await runPod(edge);
    const container = await create(edge, pod, "c");
    for (let round = 0; round < 2; round++) {
      const reader = edge.follow("getContainerEvents");
      await expect.poll(() => reader.items.length).toBe(4);
      const events = reader.items as ContainerEventResponse[];
      expect(events.map((event) => [event.containerId, event.containerEventType])).toEqual([
        [gone, DELETED],
        [pod, CREATED],
        [pod, STARTED],
        [container, CREATED],
      ]);
      reader.cancel();
      await edge.settled();
    }
  });

  it("end with the daemon", async () => {
    const world = makeWorld();
    const events = new ContainerEvents(bindVerbs(world.deps as never));
    const reader = events.read(new AbortController().signal)[Symbol.asyncIterator]();
    const waiting = reader.next();
    events.close();
    expect(await waiting).toMatchObject({ done: true });
    expect(await events.read(new AbortController().signal)[Symbol.asyncIterator]().next()).toMatchObject({
      done: true,
    });
  });

  it("of images are none of the CRI's", () => {
    const world = makeWorld();
    const events = new ContainerEvents(bindVerbs(world.deps as never));
    events.onEvent({ type: "image-pulled", imageId: "i", at: 1 } as BerthEvent);
    expect(events.read(AbortSignal.abort())).toBeDefined();
  });
});

it("a reader that is too slow is cut off and told so; others are not", async () => {
  const feed = new EventFeed<number>();
  const { signal } = new AbortController();
  const slow = feed.read(signal);
  const quick = feed.read(signal);
  const first = slow.next();
  const seen: number[] = [];
  for (let n = 0; n < 3_000; n++) {
    feed.push(n);
    seen.push((await quick.next()).value as number);
  }
  expect(seen).toHaveLength(3_000);
  expect((await first).value).toBe(0);
  await expect(slow.next()).rejects.toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    message: expect.stringContaining("subscribe again"),
  });
  await quick.return();
  expect(feed.isRead).toBe(false);
});

it("a reader that leaves is forgotten", async () => {
  const feed = new EventFeed<number>();
  const controller = new AbortController();
  const reader = feed.read(controller.signal);
  feed.push(7);
  expect((await reader.next()).value).toBe(7);
  const waiting = reader.next();
  expect(feed.isRead).toBe(true);
  controller.abort();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(feed.isRead).toBe(false);
});

it("one that leaves before it began, too", () => {
  const feed = new EventFeed<number>();
  const controller = new AbortController();
  feed.read(controller.signal);
  expect(feed.isRead).toBe(true);
  controller.abort();
  expect(feed.isRead).toBe(false);
});

it("what was missed is told bit by bit: the loop turns, and who leaves is told no more", async () => {
  const world = makeWorld();
  const { deps, call } = world;
  const events = new ContainerEvents(bindVerbs(deps as never));
  const podId = await runPodSandbox(deps, call, { config: podConfig(), handler: "" });
  for (let n = 0; n < 500; n++) events.onEvent({ type: "pod-stopped", podId, at: n });
  let clock = performance.now() + 1_000;
  vi.spyOn(performance, "now").mockImplementation(() => (clock += 0.1));
  onTestFinished(() => void vi.restoreAllMocks());
  let turns = 0;
  let counting = setImmediate(function count() {
    turns++;
    counting = setImmediate(count);
  });
  const controller = new AbortController();
  let told = 0;
  for await (const _ of events.read(controller.signal)) {
    told++;
    if (told === 400) controller.abort();
  }
  clearImmediate(counting);
  expect(told).toBe(400);
  expect(turns).toBeGreaterThan(50);
  // Nobody reads any more: what happens now is kept for who comes next.
  events.onEvent({ type: "pod-stopped", podId, at: 1_000 });
  const next = events.read(new AbortController().signal)[Symbol.asyncIterator]();
  for (let n = 0; n < 501; n++) expect((await next.next()).done).toBe(false);
  events.close();
  expect((await next.next()).done).toBe(true);
});

it("PodSandboxStatus has the statuses of all containers and its time", async () => {
  const edge = await makeEdge();
  const podSandboxId = await runPod(edge);
  const ids = [await create(edge, podSandboxId, "a"), await create(edge, podSandboxId, "b")];
  const before = BigInt(Date.now()) * 1_000_000n;
  const answer = await edge.ask<PodSandboxStatusResponse>("podSandboxStatus", { podSandboxId });
  expect(answer.containersStatuses.map(({ id }) => id)).toEqual(ids);
  expect(answer.timestamp).toBeGreaterThanOrEqual(before);
});

it("UpdatePodSandboxResources keeps what it is told, and only of pods that run", async () => {
  const edge = await makeEdge();
  const podSandboxId = await runPod(edge);
  const update = (changes: object, id = podSandboxId) =>
    edge.ask("updatePodSandboxResources", { podSandboxId: id, ...changes });
  const resources = (changes: object) =>
    ContainerConfig.fromPartial({ linux: { resources: changes } }).linux?.resources;
  await update({ resources: resources({ cpuShares: 512n }) });
  await update({ overhead: resources({ memoryLimitInBytes: 4096n }) });
  const pods = edge.world.deps.store.prepare("SELECT config FROM pods").all() as { config: string }[];
  expect(JSON.parse(pods[0]?.config ?? "")).toMatchObject({
    metadata: { name: "web" },
    resources: { cpuShares: 512 },
    overhead: { memoryLimitBytes: 4096 },
  });
  await expect(update({ resources: resources({ cpusetCpus: "x" }) })).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
  });
  await expect(update({}, "0".repeat(64))).rejects.toMatchObject({ code: status.NOT_FOUND });
  await edge.ask("stopPodSandbox", { podSandboxId });
  await expect(update({})).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
});
