// Both services over a socket: the life of a pod, the codes that clients decide by, and what is logged.

import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { CriVerbs } from "../../../src/cri/verbs.ts";
import type {
  ContainerStatusResponse,
  CreateContainerResponse,
  ImageStatusResponse,
  ListContainersResponse,
  ListPodSandboxResponse,
  PodSandboxStatusResponse,
  RunPodSandboxResponse,
  RuntimeConfigResponse,
  StatusResponse,
  StreamContainersResponse,
  StreamPodSandboxesResponse,
  VersionResponse,
} from "../../../src/gen/runtime/v1/api.ts";
import {
  ContainerConfig,
  ImageServiceService,
  ImageSpec,
  PodSandboxConfig,
  RuntimeServiceService,
} from "../../../src/gen/runtime/v1/api.ts";
import { BerthError } from "../../../src/lib/errors.ts";
import { IMAGE_ID } from "../containers/world.ts";
import { type Edge, makeEdge } from "./edge.ts";

const UNKNOWN_ID = "0".repeat(64);

async function runPod(edge: Edge, name = "web"): Promise<string> {
  const metadata = { name, uid: `uid-${name}`, namespace: "default", attempt: 0 };
  const config = PodSandboxConfig.fromPartial({
    metadata,
    labels: { app: name },
  });
  return (await edge.ask<RunPodSandboxResponse>("runPodSandbox", { config })).podSandboxId;
}

async function create(edge: Edge, podSandboxId: string, changes: object = {}): Promise<string> {
  const config = ContainerConfig.fromPartial({
    metadata: { name: "c", attempt: 0 },
    image: { image: IMAGE_ID, userSpecifiedImage: "busybox" },
    envs: [{ key: "A", value: Buffer.from("ü") }],
    ...changes,
  });
  return (await edge.ask<CreateContainerResponse>("createContainer", { podSandboxId, config })).containerId;
}

describe("a pod's life", () => {
  it("runs, shows, lists, stops and removes", async () => {
    const edge = await makeEdge();
    const podSandboxId = await runPod(edge);
    const containerId = await create(edge, podSandboxId);
    await edge.ask("startContainer", { containerId });

    const shown = await edge.ask<ContainerStatusResponse>("containerStatus", { containerId, verbose: true });
    expect(shown.status).toMatchObject({
      state: 1,
      imageId: IMAGE_ID,
      image: { image: "busybox" },
      metadata: { name: "c" },
    });
    expect(shown.status?.createdAt).toBeGreaterThan(10n ** 18n);
    const facts = JSON.parse(shown.info.info ?? "");
    expect(facts).toMatchObject({ sandboxID: podSandboxId, snapshot: 1, runtimeHandler: "" });
    expect(facts.pid).toBeGreaterThan(0);
    expect(facts.config.envs).toEqual([{ name: "A", value: "ü" }]);

    const pod = await edge.ask<PodSandboxStatusResponse>("podSandboxStatus", { podSandboxId, verbose: true });
    expect(pod.status).toMatchObject({ state: 0, network: { ip: "10.88.0.2" } });
    expect(JSON.parse(pod.info.info ?? "")).toMatchObject({ state: "READY" });
    const quiet = await edge.ask<PodSandboxStatusResponse>("podSandboxStatus", { podSandboxId });
    expect(quiet.info).toEqual({});

    const monitor = edge.world.driver.monitors.get(podSandboxId);
    const killed = { finishedAt: 99, exitCode: 137, signal: 9, oomKilled: false };
    edge.world.kernel.onKill = () => monitor?.events.onExit(containerId, killed);
    await edge.ask("stopPodSandbox", { podSandboxId });
    const ended = await edge.ask<ContainerStatusResponse>("containerStatus", { containerId });
    expect(ended.status).toMatchObject({ state: 2, exitCode: 137, finishedAt: 99_000n });
    const stopped = await edge.ask<ListPodSandboxResponse>("listPodSandbox", {
      filter: { id: podSandboxId.slice(0, 8), state: { state: 1 }, labelSelector: { app: "web" } },
    });
    expect(stopped.items.map((item) => item.state)).toEqual([1]);
    await edge.ask("removePodSandbox", { podSandboxId });
    expect((await edge.ask<ListPodSandboxResponse>("listPodSandbox", {})).items).toEqual([]);
  });

  it("lists by state 0, and streams each once", async () => {
    const edge = await makeEdge();
    const podId = await runPod(edge);
    await runPod(edge, "other");
    const containerId = await create(edge, podId);
    const filter = { id: "", podSandboxId: podId, state: { state: 0 }, labelSelector: {} };
    const list = await edge.ask<ListContainersResponse>("listContainers", { filter });
    expect(list.containers.map(({ id }) => id)).toEqual([containerId]);
    const running = { ...filter, state: { state: 1 } };
    expect(
      (await edge.ask<ListContainersResponse>("listContainers", { filter: running })).containers,
    ).toEqual([]);
    const streamed = await edge.collect<StreamContainersResponse>("streamContainers", {});
    expect(streamed.map((batch) => batch.containers)).toEqual([list.containers]);
    const pods = await edge.collect<StreamPodSandboxesResponse>("streamPodSandboxes", {});
    expect(pods.flatMap((batch) => batch.podSandboxes)).toHaveLength(2);
  });
});

describe("the runtime", () => {
  it("has four non-empty versions, both conditions and a default handler", async () => {
    const edge = await makeEdge();
    const version = await edge.ask<VersionResponse>("version", {});
    expect(Object.values(version).every((part) => part !== "")).toBe(true);
    expect(version).toMatchObject({ runtimeName: "berth", runtimeApiVersion: "v1" });
    const state = await edge.ask<StatusResponse>("status", { verbose: true });
    expect(state.status?.conditions.map(({ type, status: ready }) => [type, ready])).toEqual([
      ["RuntimeReady", true],
      ["NetworkReady", true],
    ]);
    expect(state.runtimeHandlers.map(({ name }) => name)).toContain("");
    expect(JSON.parse(state.info.config ?? "")).toMatchObject({ stateDir: edge.world.deps.config.state });
    const { linux } = await edge.ask<RuntimeConfigResponse>("runtimeConfig", {});
    expect(linux?.cgroupDriver).toBe(edge.world.deps.config.cgroupDriver === "systemd" ? 0 : 1);
    await edge.ask("updateRuntimeConfig", { runtimeConfig: { networkConfig: { podCidr: "10.1.0.0/24" } } });
    expect(edge.world.network.calls).toContain("setPodCidrs 10.1.0.0/24");
  });
});

describe("codes", () => {
  it.each([
    ["containerStatus", { containerId: UNKNOWN_ID }, status.NOT_FOUND],
    ["podSandboxStatus", { podSandboxId: UNKNOWN_ID }, status.NOT_FOUND],
    ["containerStatus", {}, status.INVALID_ARGUMENT],
    ["runPodSandbox", {}, status.INVALID_ARGUMENT],
    ["execSync", { containerId: UNKNOWN_ID }, status.INVALID_ARGUMENT],
    ["execSync", { containerId: UNKNOWN_ID, cmd: ["a"], timeout: 2n ** 60n }, status.INVALID_ARGUMENT],
    ["stopContainer", { containerId: UNKNOWN_ID, timeout: -1n }, status.INVALID_ARGUMENT],
    ["pullImage", {}, status.INVALID_ARGUMENT],
    ["updateContainerResources", { containerId: UNKNOWN_ID }, status.INVALID_ARGUMENT],
  ])("%s refused (%#)", async (method, request, code) => {
    const edge = await makeEdge();
    await expect(edge.ask(method, request)).rejects.toMatchObject({ code });
  });

  it.each(["stopPodSandbox", "removePodSandbox"])("%s of an unknown pod succeeds", async (method) => {
    const edge = await makeEdge();
    expect(await edge.ask(method, { podSandboxId: UNKNOWN_ID })).toEqual({});
  });

  it.each(["stopContainer", "removeContainer"])("%s of an unknown container succeeds", async (method) => {
    const edge = await makeEdge();
    expect(await edge.ask(method, { containerId: UNKNOWN_ID })).toEqual({});
  });

  it("answers without an image for one that is not here", async () => {
    const edge = await makeEdge();
    const image = ImageSpec.fromPartial({ image: `sha256:${UNKNOWN_ID}` });
    expect(await edge.ask<ImageStatusResponse>("imageStatus", { image })).toEqual({
      image: undefined,
      info: {},
    });
    expect(await edge.ask("removeImage", { image })).toEqual({});
  });

  it("passes registry failures as UNKNOWN with the token first, and nothing else", async () => {
    const fail = (code: "UNAVAILABLE" | "NOT_FOUND", message: string) => ({
      pullImage: async () => {
        throw new BerthError(code, message);
      },
    });
    const request = { image: ImageSpec.fromPartial({ image: "busybox" }) };
    const away = await makeEdge(fail("UNAVAILABLE", "RegistryUnavailable: no route"));
    await expect(away.ask("pullImage", request)).rejects.toMatchObject({
      code: status.UNKNOWN,
      details: "RegistryUnavailable: no route",
    });
    const missing = await makeEdge(fail("NOT_FOUND", "no such tag"));
    await expect(missing.ask("pullImage", request)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it("turns what nobody foresaw into INTERNAL, whatever its message holds", async () => {
    const edge = await makeEdge({
      listPodSandbox: () => {
        throw new TypeError(`lone \ud800 ${"ü".repeat(9000)}`);
      },
    });
    const failure = edge.ask("listPodSandbox", {});
    await expect(failure).rejects.toMatchObject({
      code: status.INTERNAL,
      details: expect.stringMatching(/^lone \ufffd ü{4000,4096}…$/),
    });
    await expect(edge.collect("streamPodSandboxes", {})).rejects.toMatchObject({ code: status.INTERNAL });
    expect(edge.log[0]).toMatchObject({ level: "error", method: "ListPodSandbox", code: "INTERNAL" });
    expect(edge.log[0]?.stack).toContain("TypeError");
  });
});

describe("calls that are not built yet", () => {
  const later = new Set(["CheckpointContainer", "CheckpointPod", "RestorePod"]);

  it("answer UNIMPLEMENTED with their name; all others do not", async () => {
    const edge = await makeEdge();
    const services = { ...RuntimeServiceService, ...ImageServiceService };
    const refused: string[] = [];
    for (const [method, { path, responseStream }] of Object.entries(services)) {
      // It answers when something happens.
      if (method === "getContainerEvents") continue;
      const name = path.slice(path.lastIndexOf("/") + 1);
      const asked = responseStream ? edge.collect(method, {}) : edge.ask(method, {});
      const failure = await asked.then(
        () => undefined,
        (error: { code: number; details: string }) => error,
      );
      if (failure?.code !== status.UNIMPLEMENTED) continue;
      expect(failure.details).toContain(name);
      refused.push(name);
    }
    expect(Object.keys(services)).toHaveLength(43);
    expect(new Set(refused)).toEqual(later);
  });
});

describe("leaving", () => {
  /** A verb that waits until its call is aborted and keeps the reason. */
  function waiting() {
    const reasons: unknown[] = [];
    const entered = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const verb: CriVerbs["startContainer"] = (call) => {
      entered.resolve();
      return new Promise((_resolve, reject) => {
        call.signal.addEventListener("abort", () => {
          reasons.push(call.signal.reason);
          reject(call.signal.reason);
          left.resolve();
        });
      });
    };
    return { verb, reasons, entered: entered.promise, left: left.promise };
  }

  it("aborts the verb when the client goes away", async () => {
    const { verb, reasons, entered, left } = waiting();
    const edge = await makeEdge({ startContainer: verb });
    const { cancel, ended } = edge.begin("startContainer", { containerId: UNKNOWN_ID });
    const failure = expect(ended).rejects.toMatchObject({ code: status.CANCELLED });
    await entered;
    cancel();
    await left;
    await failure;
    expect(reasons).toEqual([expect.objectContaining({ code: "CANCELLED" })]);
  });

  it("aborts the verb when the deadline passes", async () => {
    const { verb, reasons, left } = waiting();
    const edge = await makeEdge({ startContainer: verb });
    const asked = edge.ask("startContainer", { containerId: UNKNOWN_ID }, { deadline: Date.now() + 200 });
    await expect(asked).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await left;
    expect(reasons).toEqual([expect.objectContaining({ code: "DEADLINE_EXCEEDED" })]);
  });
});

describe("the log", () => {
  it("has one line per call with its subject, and no secrets", async () => {
    const edge = await makeEdge({ pullImage: async () => IMAGE_ID });
    const auth = {
      username: "u",
      password: "hunter2",
      auth: "",
      serverAddress: "",
      identityToken: "",
      registryToken: "t0ken",
    };
    await edge.ask("pullImage", { image: ImageSpec.fromPartial({ image: "busybox" }), auth });
    await edge.ask("podSandboxStatus", { podSandboxId: UNKNOWN_ID }).catch(() => {});
    expect(edge.log).toMatchObject([
      { level: "debug", method: "PullImage", image: "busybox" },
      { level: "debug", method: "PodSandboxStatus", pod: UNKNOWN_ID, code: "NOT_FOUND" },
    ]);
    expect(JSON.stringify(edge.log)).not.toMatch(/hunter2|t0ken/);
  });
});
