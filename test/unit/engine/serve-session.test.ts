import { afterEach, describe, expect, it } from "vitest";
import { Channel } from "../../../src/cli/client/channel.ts";
import * as methods from "../../../src/cli/client/methods.ts";
import { opening, type SessionInput } from "../../../src/cli/session.ts";
import { type SessionShape, serveSession } from "../../../src/engine/serve-session.ts";
import { AttachResponse, type AttachStart, EngineService } from "../../../src/gen/berth/v1/engine.ts";
import { silentLogger } from "../../../src/lib/call.ts";
import { BerthError, KernelError } from "../../../src/lib/errors.ts";
import type { StreamSession } from "../../../src/monitor/monitor.ts";
import { startServer } from "../cli/server.ts";
import { NotingSession } from "../monitor/noting-session.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

type Open = (start: AttachStart) => Promise<StreamSession>;

async function connect(open: Open) {
  const nothing = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), exit: undefined };
  const shape: SessionShape<AttachStart, AttachResponse> = {
    open: (_call, start) => open(start),
    greet: (_session, send) => send({ attached: true, ...nothing }),
    respond: (output) => AttachResponse.fromPartial(output),
  };
  const server = await startServer((grpc) =>
    grpc.addService(EngineService, {
      attach: (rpc: never) => serveSession(rpc, { log: silentLogger }, shape),
    } as never),
  );
  cleanups.push(server.close);
  const channel = await Channel.open(server.socket);
  cleanups.push(() => channel.destroy());
  const call = channel.call(methods.attach);
  const send = (fields: Partial<SessionInput>) =>
    call.write({ start: undefined, stdin: Buffer.alloc(0), closeStdin: false, resize: undefined, ...fields });
  return { channel, call, send };
}

const start = opening({ containerId: "c1", stdin: true, size: undefined });

describe("serveSession", () => {
  it("passes input, sizes, output and the exit on", async () => {
    const session = new NotingSession();
    let asked: AttachStart | undefined;
    const { call, send } = await connect(async (message) => {
      asked = message;
      return session;
    });
    call.write(start);
    send({ resize: { rows: 24, columns: 80 } });
    send({ stdin: Buffer.from("hello") });
    send({ closeStdin: true });
    const answers = call.responses();
    expect((await answers.next()).value?.attached).toBe(true);
    await session.until("closeStdin");
    expect(asked).toMatchObject({ containerId: "c1", stdin: true });
    expect(session.log).toEqual(["resize 24x80", "stdin", "closeStdin"]);
    expect(Buffer.concat(session.written).toString()).toBe("hello");
    session.onStdout?.(Buffer.from("out"));
    session.onStderr?.(Buffer.from("err"));
    session.exit({ exitCode: 137, signal: 9 });
    const rest: AttachResponse[] = [];
    for await (const answer of answers) rest.push(answer);
    expect(rest.map((answer) => answer.stdout.toString() + answer.stderr.toString())).toEqual([
      "out",
      "err",
      "",
    ]);
    expect(rest.at(-1)?.exit).toEqual({ exitCode: 137, signal: 9 });
    expect(session.log).not.toContain("close");
  });

  it("takes the end of the client's messages for the end of its input", async () => {
    const session = new NotingSession();
    const { call } = await connect(async () => session);
    call.write(start);
    call.end();
    await session.until("closeStdin");
    session.exit({ exitCode: 0, signal: 0 });
    for await (const _ of call.responses());
  });

  it("closes the session when the client goes away", async () => {
    const session = new NotingSession();
    const { call } = await connect(async () => session);
    call.write(start);
    await call.responses().next();
    call.cancel();
    await session.until("close");
  });

  it("closes the session when the connection breaks", async () => {
    const session = new NotingSession();
    const { call, channel } = await connect(async () => session);
    call.write(start);
    await call.responses().next();
    channel.destroy();
    await session.until("close");
  });

  it("closes a session that opened after its client had gone", async () => {
    const session = new NotingSession();
    let opened = (_: StreamSession) => {};
    let asked = () => {};
    const reached = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { call } = await connect(() => {
      asked();
      return new Promise((resolve) => {
        opened = resolve;
      });
    });
    call.write(start);
    await reached;
    call.cancel();
    // The server learns of it through the socket.
    await new Promise((resolve) => setTimeout(resolve, 50));
    opened(session);
    await session.until("close");
  });

  it("pauses the process while the client does not read, and goes on afterwards", async () => {
    const session = new NotingSession();
    const { call } = await connect(async () => session);
    call.write(start);
    const answers = call.responses();
    await answers.next();
    let size = 0;
    const chunk = Buffer.alloc(64 * 1024);
    while (!session.log.includes("pause")) {
      session.onStdout?.(chunk);
      size += chunk.length;
    }
    session.exit({ exitCode: 0, signal: 0 });
    let received = 0;
    for await (const { stdout } of answers) received += stdout.length;
    expect(received).toBe(size);
    expect(session.log).toContain("pause");
  });

  it("stops reading the client while the process does not read", async () => {
    const session = new NotingSession();
    session.stdinBlocked = true;
    const { call, send } = await connect(async () => session);
    call.write(start);
    await call.responses().next();
    send({ stdin: Buffer.from("1") });
    await session.until("stdin");
    send({ stdin: Buffer.from("2") });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(Buffer.concat(session.written).toString()).toBe("1");
    session.stdinBlocked = false;
    const second = new Promise<void>((resolve) => {
      session.onEvent = () => resolve();
    });
    session.onDrain?.();
    await second;
    expect(Buffer.concat(session.written).toString()).toBe("12");
    session.exit({ exitCode: 0, signal: 0 });
  });

  it("tells why a session could not begin, with the errno", async () => {
    const cause = new KernelError("execve", "ENOENT", "/bin/nope");
    const { call } = await connect(async () => {
      const session = new NotingSession();
      session.fail(new BerthError("INVALID_ARGUMENT", "exec: no such program", { cause }));
      return session;
    });
    call.write(start);
    const read = async () => {
      for await (const _ of call.responses());
    };
    await expect(read()).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "exec: no such program",
      errno: "ENOENT",
      step: "execve",
    });
  });

  it.each([
    ["a first message without a start", false],
    ["no message at all", true],
  ])("refuses %s", async (_, silent) => {
    const { call, send } = await connect(async () => new NotingSession());
    if (!silent) send({ stdin: Buffer.from("x") });
    call.end();
    const read = async () => {
      for await (const _ of call.responses());
    };
    await expect(read()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
