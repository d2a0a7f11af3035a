import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Channel } from "../../../src/cli/client/channel.ts";
import * as methods from "../../../src/cli/client/methods.ts";
import { opening } from "../../../src/cli/session.ts";
import { containerStatus } from "../../../src/containers/container-status.ts";
import { createContainer } from "../../../src/containers/create-container.ts";
import { recordExit } from "../../../src/containers/record-exit.ts";
import { removeContainer } from "../../../src/containers/remove-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { EngineEvents } from "../../../src/engine/events.ts";
import { serveEngine } from "../../../src/engine/serve.ts";
import { makeImageDeps } from "../../../src/images/deps.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import type { RegistryClient } from "../../../src/registry/client.ts";
import { startServer } from "../cli/server.ts";
import { containerConfig, IMAGE_ID, makeWorld, podConfig, type World } from "../containers/world.ts";
import { layerForms } from "../images/support/bench.ts";

interface Engine {
  readonly world: World;
  readonly channel: Channel;
}

async function makeEngine(): Promise<Engine> {
  const world = makeWorld();
  const { store, kernel, paths, config, layerMounts, events } = world.deps;
  // Nothing here reaches a registry.
  const registry = {} as RegistryClient;
  const parts = { store, kernel, paths, config, layerMounts, layerForms };
  const images = makeImageDeps({ ...parts, registry, events });
  const engineEvents = new EngineEvents(world.deps);
  world.onEvent = engineEvents.onEvent;
  const server = await startServer((grpc) => serveEngine(grpc, { ...images, ...world.deps, engineEvents }));
  const channel = await Channel.open(server.socket);
  onTestFinished(() => {
    channel.destroy();
    server.close();
  });
  return { world, channel };
}

/** A pod of `berth run` with its container, created and, unless told otherwise, started. */
async function makeContainer({ world }: Engine, name: string, start = true) {
  const labels = { "berth.name": name };
  const podId = await runPodSandbox(world.deps, world.call, {
    config: podConfig({
      metadata: { name, uid: `uid-${name}`, namespace: "berth", attempt: 0 },
      labels,
      portMappings: [{ protocol: "TCP", containerPort: 80, hostPort: 8080, hostIp: "" }],
    }),
    handler: "",
  });
  const config = containerConfig({
    labels,
    metadata: { name, attempt: 0 },
    args: ["--flag"],
    stdin: true,
    envs: [{ name: "WHO", value: Buffer.from("käthe").toString("latin1") }],
  });
  const id = await createContainer(world.deps, world.call, { podId, config });
  if (start) await startContainer(world.deps, world.call, id);
  return { podId, id };
}

const EXIT = { finishedAt: 1_700_000_000_000_000, exitCode: 3, signal: 0, oomKilled: false };

describe("the engine's API", () => {
  it("tells what the daemon is", async () => {
    const engine = await makeEngine();
    await makeContainer(engine, "web");
    const info = await engine.channel.unary(methods.info, {});
    expect(info).toMatchObject({
      pid: process.pid,
      kernelRelease: "6.12.0",
      networkReady: true,
      pods: 1,
      containers: 1,
      containersRunning: 1,
      images: 1,
    });
    expect(info.version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it("lists containers with what was executed, and ports while they run", async () => {
    const engine = await makeEngine();
    const { id, podId } = await makeContainer(engine, "web");
    const list = async () => (await engine.channel.unary(methods.listContainers, {})).containers[0];
    expect(await list()).toMatchObject({
      id,
      podId,
      name: "web",
      state: "running",
      command: ["/probe", "--flag"],
      podNamespace: "berth",
      ips: ["10.88.0.2"],
      ports: [{ protocol: "tcp", containerPort: 80, hostPort: 8080, hostIp: "" }],
    });
    await recordExit(engine.world.deps, id, EXIT);
    expect(await list()).toMatchObject({ state: "exited", exitCode: 3, ports: [] });
  });

  it("lists images", async () => {
    const { channel } = await makeEngine();
    const { images } = await channel.unary(methods.listImages, {});
    expect(images).toMatchObject([{ id: IMAGE_ID, size: 1n, createdMs: 0n }]);
  });

  it("resolves names and beginnings of ids", async () => {
    const engine = await makeEngine();
    const { id, podId } = await makeContainer(engine, "web");
    for (const container of ["web", id, id.slice(0, 10)]) {
      const found = await engine.channel.unary(methods.resolve, { container });
      expect(found).toMatchObject({ containerId: id, podId, ownsPod: true, state: "running", stdin: true });
    }
    await expect(engine.channel.unary(methods.resolve, { container: "none" })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: 'no such container: "none"; "berth ps -a" lists what there is',
    });
  });

  it("inspects containers, pods and images", async () => {
    const engine = await makeEngine();
    const { id, podId } = await makeContainer(engine, "web");
    const inspect = async (type: string, name: string) =>
      JSON.parse((await engine.channel.unary(methods.inspect, { type, name })).json);
    expect(await inspect("", "web")).toMatchObject({
      Id: id,
      Path: "/probe",
      Args: ["--flag"],
      State: { Status: "running", ExitCode: 0, FinishedAt: "0001-01-01T00:00:00Z" },
      Config: { Env: ["WHO=käthe"] },
      NetworkSettings: { IPAddress: "10.88.0.2" },
      Pod: { Id: podId, Namespace: "berth" },
    });
    expect(await inspect("pod", "web")).toMatchObject({ Id: podId, State: "ready" });
    expect(await inspect("", IMAGE_ID)).toMatchObject({ Id: IMAGE_ID, Architecture: "amd64" });
    await expect(inspect("", "none")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(inspect("constructor", "x")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("waits for the end", async () => {
    const engine = await makeEngine();
    const { id } = await makeContainer(engine, "web");
    const waiting = engine.channel.unary(methods.wait, { containerId: id });
    await engine.channel.unary(methods.info, {});
    await recordExit(engine.world.deps, id, EXIT);
    expect(await waiting).toMatchObject({ exit: { exitCode: 3 }, finishedAt: BigInt(EXIT.finishedAt) });
  });

  it("signals running containers only", async () => {
    const engine = await makeEngine();
    const { id } = await makeContainer(engine, "web");
    const signal = (number: number) =>
      engine.channel.unary(methods.signalContainer, { containerId: id, signal: number });
    const sent: number[] = [];
    engine.world.kernel.onSignal = (_, number) => sent.push(number);
    await signal(1);
    expect(sent).toEqual([1]);
    await expect(signal(0)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await recordExit(engine.world.deps, id, EXIT);
    await expect(signal(1)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  it("attaches to a container that is not started yet", async () => {
    const engine = await makeEngine();
    const { id, podId } = await makeContainer(engine, "web", false);
    const sessions = engine.world.driver.monitors.get(podId)?.sessions ?? [];
    const attached = Promise.withResolvers<{ pid: number; startTime: number }>();
    const push = sessions.push.bind(sessions);
    sessions.push = (session) => push(Object.assign(session, { started: attached.promise }));
    const call = engine.channel.call(methods.attach);
    call.write(opening({ containerId: id, stdin: true, size: { rows: 1, columns: 2 } }));
    const answers = call.responses();
    const first = answers.next();
    let isTold = false;
    void first.then(() => {
      isTold = true;
    });
    await expect.poll(() => sessions.length).toBe(1);
    await engine.channel.unary(methods.info, {});
    // Not before the monitor has it: a client that starts the container now would miss its first words.
    expect(isTold).toBe(false);
    attached.resolve({ pid: 4000, startTime: 1 });
    expect((await first).value?.attached).toBe(true);
    const session = sessions[0];
    session?.onStdout?.(Buffer.from("first words"));
    session?.end({ exitCode: 0, signal: 0 });
    expect((await answers.next()).value?.stdout.toString()).toBe("first words");
    expect((await answers.next()).value?.exit).toEqual({ exitCode: 0, signal: 0 });
  });

  it("runs commands, and refuses them where nothing runs", async () => {
    const engine = await makeEngine();
    const { id, podId } = await makeContainer(engine, "web");
    const exec = () => {
      const call = engine.channel.call(methods.exec);
      const flags = { tty: false, stdin: false, privileged: false, size: undefined };
      call.write(
        opening({ containerId: id, argv: ["id"], env: ["A=ü"], user: "", workingDir: "", ...flags }),
      );
      return call.responses();
    };
    const answers = exec();
    expect((await answers.next()).value?.started).toEqual({ pid: 4000 });
    engine.world.driver.monitors.get(podId)?.sessions[0]?.end({ exitCode: 130, signal: 2 });
    expect((await answers.next()).value?.exit).toEqual({ exitCode: 130, signal: 2 });
    await recordExit(engine.world.deps, id, EXIT);
    await expect(exec().next()).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  it("finds no log of a container that never ran, which is no error", async () => {
    const engine = await makeEngine();
    const { id } = await makeContainer(engine, "web", false);
    const read = async (containerId: string) => {
      const request = { containerId, follow: false, tail: undefined, sinceNs: 0n };
      for await (const _ of engine.channel.stream(methods.logs, request)) expect.unreachable();
    };
    await read(id);
    await startContainer(engine.world.deps, engine.world.call, id);
    await expect(read(id)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(read("none")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("follows a log until the container ends", async () => {
    const engine = await makeEngine();
    const { id } = await makeContainer(engine, "web");
    const { logPath } = containerStatus(engine.world.deps, id);
    mkdirSync(dirname(logPath), { recursive: true });
    appendFileSync(logPath, "2026-01-02T03:04:05Z stdout F one\n");
    const request = { containerId: id, follow: true, tail: undefined, sinceNs: 0n };
    const texts: string[] = [];
    for await (const { records } of engine.channel.stream(methods.logs, request)) {
      texts.push(...records.map(({ content }) => content.toString()));
      if (texts.length === 1) {
        appendFileSync(logPath, "2026-01-02T03:04:06Z stderr F two\n");
        await recordExit(engine.world.deps, id, EXIT);
      }
    }
    expect(texts).toEqual(["one\n", "two\n"]);
  });
});

describe("watching", () => {
  it("tells what running containers use", async () => {
    const engine = await makeEngine();
    const { id } = await makeContainer(engine, "web");
    const { id: other } = await makeContainer(engine, "other");
    const { cgroupPath } = containerStatus(engine.world.deps, id);
    engine.world.kernel.stats.set(cgroupPath, {
      wallMicros: 1,
      monotonicMicros: 1,
      memoryCurrent: 900,
      memoryInactiveFile: 200,
      memoryMax: 4_000,
      processes: 2,
    });
    const all = await engine.channel.unary(methods.stats, { containerIds: [] });
    expect(all.containers.map(({ name }) => name)).toEqual(["web", "other"]);
    const one = await engine.channel.unary(methods.stats, { containerIds: [id] });
    expect(one.containers).toMatchObject([{ id, memory: 700n, memoryLimit: 4_000n, processes: 2 }]);
    await recordExit(engine.world.deps, other, EXIT);
    const left = await engine.channel.unary(methods.stats, { containerIds: [] });
    expect(left.containers.map(({ name }) => name)).toEqual(["web"]);
  });

  it("lists the processes of a container that runs", async () => {
    const engine = await makeEngine();
    const { id } = await makeContainer(engine, "web");
    const { cgroupPath } = containerStatus(engine.world.deps, id);
    const stat = (name: string) =>
      Buffer.from(`7 (${name}) S 3 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 12345 0 0 0`);
    const status = Buffer.from("Name:\tx\nUid:\t1000\t0\t0\t0\n");
    engine.world.kernel.members.set(cgroupPath, [
      { pid: 9, stat: stat("a) R (b"), status, cmdline: Buffer.alloc(0) },
      { pid: 7, stat: stat("sh"), status, cmdline: Buffer.from("sh\0-c\0x\0") },
      { pid: 8, stat: Buffer.alloc(0), status: Buffer.alloc(0), cmdline: Buffer.alloc(0) },
    ]);
    const { processes } = await engine.channel.unary(methods.top, { containerId: id });
    expect(processes).toMatchObject([
      { pid: 7, parent: 3, uid: 1000, cpuMs: 2_000n },
      { pid: 9, parent: 3 },
    ]);
    const commands = processes.map(({ command }) => command.map((part) => Buffer.from(part).toString()));
    expect(commands).toEqual([["sh", "-c", "x"], ["[a) R (b]"]]);
    await recordExit(engine.world.deps, id, EXIT);
    await expect(engine.channel.unary(methods.top, { containerId: id })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
  });

  it("tells events with the names of their time", async () => {
    const engine = await makeEngine();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of engine.channel.stream(methods.events, {})) {
        seen.push(`${event.type} ${event.action} ${event.name} ${event.exitCode}`);
        if (event.action === "destroy") return;
      }
    })();
    await engine.channel.unary(methods.info, {});
    const { id } = await makeContainer(engine, "web");
    await recordExit(engine.world.deps, id, EXIT);
    await removeContainer(engine.world.deps, engine.world.call, id);
    await reading;
    expect(seen).toEqual([
      "pod start web 0",
      "container create web 0",
      "container start web 0",
      "container die web 3",
      "container destroy web 3",
    ]);
  });
});
