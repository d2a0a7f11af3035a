import { linkSync } from "node:fs";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { KernelError } from "../../../src/lib/errors.ts";
import { makeMonitorDriver } from "../../../src/monitor/connect.ts";
import type { Monitor } from "../../../src/monitor/monitor.ts";
import { FRAME, PayloadWriter } from "../../../src/monitor/protocol.ts";
import {
  containerId,
  failedPayload,
  type Peer,
  podId,
  processPayload,
  ScriptedMonitor,
  settle,
} from "./scripted-monitor.ts";

const driver = makeMonitorDriver();
const events = { onExit: vi.fn(), onLost: vi.fn() };
let scripted: ScriptedMonitor;

beforeEach(async () => {
  vi.clearAllMocks();
  scripted = await new ScriptedMonitor().listen();
});
afterEach(() => scripted.close());

function connect(timeoutMs = 5_000): Promise<Monitor> {
  return driver.connect(podId, scripted.socketPath, events, timeoutMs);
}

async function connected(): Promise<{ monitor: Monitor; peer: Peer }> {
  const connecting = connect();
  const peer = await scripted.accept();
  await peer.expect(FRAME.HELLO);
  peer.welcome();
  return { monitor: await connecting, peer };
}

const request = {
  id: containerId,
  cgroupPath: "/c",
  logPath: "",
  tty: false,
  stdin: false,
  stdinOnce: false,
  pidTarget: "",
  plan: Buffer.from("plan"),
};
const exitPayload = () => new PayloadWriter().str(containerId).u64(99).u8(1).u8(0).u8(1);

describe("connect", () => {
  test("says hello and gives the containers of the welcome", async () => {
    const connecting = connect();
    const peer = await scripted.accept();
    const hello = await peer.expect(FRAME.HELLO);
    expect(hello.payload.toString("hex")).toBe("0300");
    const welcome = new PayloadWriter().u16(1).u32(7).u32(1);
    welcome.str(containerId).u8(1).u32(8).u64(9).u64(0).u64(0).u8(0).u8(0).u8(0);
    peer.send(FRAME.WELCOME, 0, welcome);
    const monitor = await connecting;
    expect(monitor.podId).toBe(podId);
    expect(monitor.containers).toEqual([
      { id: containerId, state: "prepared", process: { pid: 8, startTime: 9 }, startedAt: null, exit: null },
    ]);
    monitor.close();
    await peer.ended;
  });

  test("a path without socket, and a socket without monitor, are UNAVAILABLE", async () => {
    const path = `${scripted.socketPath}x`;
    const missing = driver.connect(podId, path, events, 5_000);
    await expect(missing).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(`at "${path}": connect ENOENT`),
    });
    const server = createServer().listen(path);
    await settle();
    // A dead monitor leaves its socket file: a second name keeps it after the server has removed its own.
    linkSync(path, `${path}y`);
    await new Promise((resolve) => server.close(resolve));
    const refused = driver.connect(podId, `${path}y`, events, 5_000);
    await expect(refused).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("a monitor that is silent is given up and its connection dropped", async () => {
    const connecting = connect(20);
    const peer = await scripted.accept();
    await expect(connecting).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(`"${scripted.socketPath}": no answer within 20 ms`),
    });
    await peer.ended;
    expect(events.onLost).not.toHaveBeenCalled();
  });

  test("a monitor that hangs up, speaks garbage or an unknown version", async () => {
    const silent = connect();
    (await scripted.accept()).socket.end();
    await expect(silent).rejects.toThrow("closed the connection before it said anything");
    const garbage = connect();
    (await scripted.accept()).socket.write(Buffer.alloc(64, 0xa5));
    await expect(garbage).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("monitor protocol: frame of type 42405"),
    });
    for (const version of [0, 4]) {
      const newer = connect();
      (await scripted.accept()).welcome(version);
      await expect(newer).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        message: expect.stringContaining(`speaks protocol version ${version}`),
      });
    }
    expect(events.onLost).not.toHaveBeenCalled();
  });

  test("an older monitor is not asked for what it cannot do", async () => {
    const refusal = (what: string) => ({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(new RegExp(`pod "${podId}" was started by an older .*${what}.*new pod`)),
    });
    for (const version of [1, 2]) {
      const connecting = connect();
      (await scripted.accept()).welcome(version);
      const monitor = await connecting;
      await expect(monitor.prepare({ ...request, mapsMounts: true })).rejects.toMatchObject(
        refusal("layers that are images"),
      );
      monitor.close();
    }
  });

  test("news that comes with the welcome waits for who connects", async () => {
    const connecting = connect();
    const peer = await scripted.accept();
    const welcome = new PayloadWriter().u16(1).u32(7).u32(0).frame(FRAME.WELCOME, 0);
    peer.socket.write(Buffer.concat([welcome, exitPayload().frame(FRAME.EXITED, 0)]));
    const monitor = await connecting;
    expect(events.onExit).not.toHaveBeenCalled();
    await expect.poll(() => events.onExit).toHaveBeenCalledOnce();
    monitor.close();
  });
});

describe("requests", () => {
  test("answers find their requests in any order", async () => {
    const { monitor, peer } = await connected();
    const prepared = monitor.prepare(request);
    const started = monitor.start(containerId);
    const done = Promise.all([
      monitor.forget(containerId),
      monitor.resize(containerId, 1, 2),
      monitor.reopenLog(containerId),
    ]);
    const prepare = await peer.expect(FRAME.PREPARE);
    const start = await peer.expect(FRAME.START);
    for (const type of [FRAME.FORGET, FRAME.RESIZE, FRAME.REOPEN_LOG]) {
      peer.send(FRAME.DONE, (await peer.expect(type)).id);
    }
    peer.send(FRAME.DONE, start.id, new PayloadWriter().u64(77));
    peer.send(FRAME.DONE, prepare.id, processPayload(5, 6));
    expect(await started).toEqual({ startedAt: 77 });
    expect(await prepared).toEqual({ pid: 5, startTime: 6 });
    await done;
    monitor.close();
  });

  test("FAILED is a KernelError of the plan's step, or of the primitive", async () => {
    const { monitor, peer } = await connected();
    const prepared = monitor.prepare(request).catch((error) => error);
    peer.send(FRAME.FAILED, (await peer.next()).id, failedPayload(3, "ENOENT", "open_tree", "/data"));
    expect(await prepared).toBeInstanceOf(KernelError);
    expect(await prepared).toMatchObject({ step: "plan:3", errno: "ENOENT", path: "/data" });
    const started = monitor.start(containerId).catch((error) => error);
    peer.send(FRAME.FAILED, (await peer.next()).id, failedPayload(0xffff, "ESRCH", "start", ""));
    expect(await started).toMatchObject({ step: "start", errno: "ESRCH", message: "start: ESRCH" });
    monitor.close();
  });

  test("a request that cannot be laid out rejects and disturbs nothing", async () => {
    const { monitor, peer } = await connected();
    const huge = monitor.prepare({ ...request, plan: Buffer.alloc(1024 * 1024) });
    await expect(huge).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const forgotten = monitor.forget(containerId);
    peer.send(FRAME.DONE, (await peer.expect(FRAME.FORGET)).id);
    await forgotten;
    monitor.close();
  });

  test("exits are told; a handler that throws surfaces without stopping the frames behind", async () => {
    const { monitor, peer } = await connected();
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    const surfaced = new Promise((resolve) => process.once("uncaughtException", resolve));
    try {
      events.onExit.mockImplementationOnce(() => {
        throw new Error("of the handler");
      });
      peer.send(FRAME.EXITED, 0, exitPayload());
      peer.send(FRAME.EXITED, 0, exitPayload());
      expect(await surfaced).toMatchObject({ message: "of the handler" });
      await expect.poll(() => events.onExit).toHaveBeenCalledTimes(2);
    } finally {
      for (const other of others) process.on("uncaughtException", other);
    }
    const exit = { finishedAt: 99, exitCode: 1, signal: 0, oomKilled: true };
    expect(events.onExit).toHaveBeenLastCalledWith(containerId, exit);
    expect(events.onLost).not.toHaveBeenCalled();
    monitor.close();
  });
});

describe("the connection's end", () => {
  test("a loss rejects what is pending, is told once, and fails later requests", async () => {
    const { monitor, peer } = await connected();
    const pending = [monitor.prepare(request), monitor.start(containerId)];
    await peer.next();
    peer.socket.destroy();
    for (const one of await Promise.allSettled(pending)) {
      expect(one).toMatchObject({
        status: "rejected",
        reason: {
          code: "UNAVAILABLE",
          message: expect.stringMatching(/^the monitor of pod "(ab){32}" went away/),
        },
      });
    }
    await expect(monitor.forget(containerId)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await monitor.shutdown();
    monitor.close();
    await settle();
    expect(events.onLost.mock.calls).toEqual([[podId]]);
  });

  test.each([
    ["garbage", Buffer.alloc(40, 0xff)],
    ["an unknown type", new PayloadWriter().frame(99, 0)],
    ["a second welcome", new PayloadWriter().u16(1).u32(7).u32(0).frame(FRAME.WELCOME, 0)],
    ["an answer to nothing", new PayloadWriter().frame(FRAME.DONE, 12)],
    ["a truncated answer", new PayloadWriter().u8(1).frame(FRAME.DONE, 1)],
    ["a truncated failure", new PayloadWriter().u8(1).frame(FRAME.FAILED, 1)],
    ["truncated news", new PayloadWriter().u8(1).frame(FRAME.EXITED, 0)],
  ])("%s is a loss", async (_, bytes) => {
    const { monitor, peer } = await connected();
    const pending = monitor.prepare(request);
    await peer.next();
    peer.socket.write(bytes);
    await expect(pending).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("went away: monitor protocol: "),
    });
    expect(events.onLost).toHaveBeenCalledOnce();
    peer.socket.end();
    await peer.closed;
  });

  test("close() rejects what is pending and is no loss", async () => {
    const { monitor, peer } = await connected();
    const pending = monitor.prepare(request);
    await peer.next();
    monitor.close();
    monitor.close();
    await expect(pending).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await peer.ended;
    await settle();
    expect(events.onLost).not.toHaveBeenCalled();
  });

  test("shutdown() resolves on DONE or on the end, rejects on FAILED, and is no loss", async () => {
    const first = await connected();
    const failing = first.monitor.shutdown();
    first.peer.send(FRAME.FAILED, (await first.peer.next()).id, failedPayload(0xffff, "EBUSY", "kill", ""));
    await expect(failing).rejects.toMatchObject({ errno: "EBUSY" });
    const done = first.monitor.shutdown();
    first.peer.send(FRAME.DONE, (await first.peer.expect(FRAME.SHUTDOWN)).id);
    await done;
    first.peer.socket.destroy();
    const second = await connected();
    const cut = second.monitor.shutdown();
    await second.peer.expect(FRAME.SHUTDOWN);
    second.peer.socket.destroy();
    await cut;
    await settle();
    expect(events.onLost).not.toHaveBeenCalled();
  });
});
