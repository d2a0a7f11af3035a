// The client that kubelet, crictl and critest share (k8s.io/cri-client) refuses answers that lack something,
// and decides by the codes of errors. Here are its rules, over the real edge.

import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type * as proto from "../../../src/gen/runtime/v1/api.ts";
import { ContainerConfig, ImageSpec, PodSandboxConfig } from "../../../src/gen/runtime/v1/api.ts";
import { IMAGE_ID } from "../containers/world.ts";
import { type Edge, makeEdge } from "./edge.ts";

const UNKNOWN_ID = "f".repeat(64);
const metadata = { name: "web", uid: "u", namespace: "default", attempt: 0 };
const podConfig = PodSandboxConfig.fromPartial({ metadata });
const containerConfig = ContainerConfig.fromPartial({ metadata: { name: "c" }, image: { image: IMAGE_ID } });

async function run(edge: Edge) {
  const { podSandboxId } = await edge.ask<proto.RunPodSandboxResponse>("runPodSandbox", {
    config: podConfig,
  });
  const { containerId } = await edge.ask<proto.CreateContainerResponse>("createContainer", {
    podSandboxId,
    config: containerConfig,
    sandboxConfig: podConfig,
  });
  await edge.ask("startContainer", { containerId });
  return { podSandboxId, containerId };
}

describe("an answer has what the client insists on", () => {
  it("RunPodSandbox and CreateContainer: an id", async () => {
    const { podSandboxId, containerId } = await run(await makeEdge());
    expect(podSandboxId).not.toBe("");
    expect(containerId).not.toBe("");
  });

  it("PodSandboxStatus: id, name, namespace, uid and time of creation", async () => {
    const edge = await makeEdge();
    const { podSandboxId } = await run(edge);
    const answer = await edge.ask<proto.PodSandboxStatusResponse>("podSandboxStatus", { podSandboxId });
    expect(answer.status).toMatchObject({ id: podSandboxId, metadata });
    expect(answer.status?.createdAt).toBeGreaterThan(0n);
  });

  it("ContainerStatus: id, name, time of creation, the image and its reference", async () => {
    const edge = await makeEdge();
    const { containerId } = await run(edge);
    const answer = await edge.ask<proto.ContainerStatusResponse>("containerStatus", { containerId });
    const { id, metadata, createdAt, image, imageRef, imageId } = answer.status as proto.ContainerStatus;
    expect({ id, name: metadata?.name }).toEqual({ id: containerId, name: "c" });
    expect(createdAt).toBeGreaterThan(0n);
    for (const reference of [image?.image, imageRef, imageId]) expect(reference).toMatch(/./);
  });

  it("ImageStatus and ListImages: an id and a size", async () => {
    const edge = await makeEdge();
    const { image } = await edge.ask<proto.ImageStatusResponse>("imageStatus", {
      image: ImageSpec.fromPartial({ image: IMAGE_ID }),
    });
    expect(image?.id).toBe(IMAGE_ID);
    expect(image?.size).toBeGreaterThan(0n);
    const { images } = await edge.ask<proto.ListImagesResponse>("listImages", {});
    expect(images).toEqual([image]);
  });

  it("PullImage: the id that all other calls show", async () => {
    const edge = await makeEdge({ pullImage: async () => IMAGE_ID });
    const image = ImageSpec.fromPartial({ image: "busybox" });
    expect(await edge.ask("pullImage", { image })).toEqual({ imageRef: IMAGE_ID });
  });

  it("Exec, Attach and PortForward: a URL with a host", async () => {
    const edge = await makeEdge();
    const { podSandboxId, containerId } = await run(edge);
    const streams = { stdin: false, stdout: true, stderr: true, tty: false };
    for (const [method, request] of [
      ["exec", { containerId, cmd: ["sh"], ...streams }],
      ["attach", { containerId, ...streams }],
      ["portForward", { podSandboxId, port: [] }],
    ] as const) {
      const { url } = await edge.ask<proto.ExecResponse>(method, request);
      expect(new URL(url).host, method).not.toBe("");
    }
  });
});

describe("what is unknown", () => {
  const image = ImageSpec.fromPartial({ image: `registry.test/none@sha256:${UNKNOWN_ID}` });
  const streams = { stdin: false, stdout: true, stderr: true, tty: false };
  const linux = { cpuShares: 2n };

  it.each([
    ["podSandboxStatus", { podSandboxId: UNKNOWN_ID }],
    ["podSandboxStats", { podSandboxId: UNKNOWN_ID }],
    ["portForward", { podSandboxId: UNKNOWN_ID, port: [] }],
    ["updatePodSandboxResources", { podSandboxId: UNKNOWN_ID }],
    ["createContainer", { podSandboxId: UNKNOWN_ID, config: containerConfig, sandboxConfig: podConfig }],
    ["runPodSandbox", { config: podConfig, runtimeHandler: "none" }],
    ["containerStatus", { containerId: UNKNOWN_ID }],
    ["containerStats", { containerId: UNKNOWN_ID }],
    ["startContainer", { containerId: UNKNOWN_ID }],
    ["reopenContainerLog", { containerId: UNKNOWN_ID }],
    ["execSync", { containerId: UNKNOWN_ID, cmd: ["true"] }],
    ["exec", { containerId: UNKNOWN_ID, cmd: ["true"], ...streams }],
    ["attach", { containerId: UNKNOWN_ID, ...streams }],
    ["updateContainerResources", { containerId: UNKNOWN_ID, linux: resources(linux) }],
  ])("is NOT_FOUND for %s (%#)", async (method, request) => {
    const edge = await makeEdge();
    await expect(edge.ask(method, request)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it.each([
    ["stopPodSandbox", { podSandboxId: UNKNOWN_ID }],
    ["removePodSandbox", { podSandboxId: UNKNOWN_ID }],
    ["stopContainer", { containerId: UNKNOWN_ID, timeout: 10n }],
    ["removeContainer", { containerId: UNKNOWN_ID }],
    ["removeImage", { image }],
  ])("is gone already for %s", async (method, request) => {
    const edge = await makeEdge();
    expect(await edge.ask(method, request)).toEqual({});
  });

  it.each([
    ["listPodSandbox", { filter: { id: UNKNOWN_ID, labelSelector: {} } }],
    ["listContainers", { filter: { id: UNKNOWN_ID, podSandboxId: "", labelSelector: {} } }],
    ["listContainerStats", { filter: { id: UNKNOWN_ID, podSandboxId: "", labelSelector: {} } }],
    ["listPodSandboxStats", { filter: { id: UNKNOWN_ID, labelSelector: {} } }],
    ["listImages", { filter: { image } }],
  ])("is an empty list for %s", async (method, request) => {
    const edge = await makeEdge();
    await run(edge);
    expect(Object.values(await edge.ask<object>(method, request))).toEqual([[]]);
  });
});

function resources(changes: object): object {
  return ContainerConfig.fromPartial({ linux: { resources: changes } }).linux?.resources ?? {};
}

describe("streams that cannot be", () => {
  it.each([
    ["none at all", { stdin: false, stdout: false, stderr: false, tty: false }],
    ["an error stream beside a terminal", { stdin: true, stdout: true, stderr: true, tty: true }],
  ])("are INVALID_ARGUMENT: %s", async (_, streams) => {
    const edge = await makeEdge();
    const { containerId } = await run(edge);
    for (const [method, request] of [
      ["exec", { containerId, cmd: ["sh"], ...streams }],
      ["attach", { containerId, ...streams }],
    ] as const) {
      await expect(edge.ask(method, request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    }
  });
});
