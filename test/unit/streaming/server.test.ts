// The streaming server over real sockets: what it lets in, and processes over both transports.

import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { BerthError } from "../../../src/lib/errors.ts";
import { FRAME } from "../../../src/streaming/spdy/frames.ts";
import { TokenDesk } from "../../../src/streaming/tokens.ts";
import { NotingSession } from "../monitor/noting-session.ts";
import { controlFrame, dataFrame, SpdyClient } from "./spdy/client.ts";
import { Messages, makeStage, openSpdy, type Refusal } from "./stage.ts";

const V4 = "v4.channel.k8s.io";
const streams = async (client: SpdyClient, ...names: string[]) => {
  for (const [index, streamtype] of names.entries()) await client.open(2 * index + 1, { streamtype });
};

async function spdy(...args: Parameters<typeof openSpdy>): Promise<SpdyClient & { protocol: string }> {
  const opened = await openSpdy(...args);
  if (opened instanceof SpdyClient) return opened as SpdyClient & { protocol: string };
  throw new Error(`${opened.status} ${opened.text}`);
}

describe("tokens", () => {
  it("are good once, and for a minute", () => {
    vi.useFakeTimers();
    try {
      const desk = new TokenDesk<string>();
      const [first, second] = [desk.issue("a"), desk.issue("b")];
      expect(first).toMatch(/^[A-Za-z0-9_-]{32}$/);
      expect(first).not.toBe(second);
      expect(desk.redeem(first)).toBe("a");
      expect(desk.redeem(first)).toBeNull();
      vi.advanceTimersByTime(59_999);
      expect(desk.size).toBe(1);
      vi.advanceTimersByTime(1);
      expect(desk.redeem(second)).toBeNull();
    } finally {
      vi.useRealTimers();
    }
  });

  it("are at most a thousand", () => {
    const desk = new TokenDesk<number>();
    const tokens = Array.from({ length: 1000 }, (_, index) => desk.issue(index));
    expect(() => desk.issue(0)).toThrow(expect.objectContaining({ code: "RESOURCE_EXHAUSTED" }));
    desk.redeem(tokens[0] as string);
    expect(() => desk.issue(0)).not.toThrow();
    desk.clear();
  });
});

describe("the door", () => {
  it("opens to GET and POST, once for each token", async () => {
    const stage = await makeStage();
    for (const method of ["GET", "POST"]) {
      const url = stage.exec();
      expect((await spdy(url, V4, { method })).protocol).toBe(V4);
      expect(await openSpdy(url, V4, { method })).toMatchObject({ status: 404 });
    }
  });

  it.each([
    [
      "an unknown token",
      (url: string) =>
        openSpdy(
          url.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
          V4,
        ),
      404,
    ],
    ["a token of another kind", (url: string) => openSpdy(url.replace("/exec/", "/attach/"), V4), 404],
    ["another path", (url: string) => openSpdy(new URL("/exec/../../etc/passwd", url).href, V4), 404],
    ["another method", (url: string) => openSpdy(url, V4, { method: "PUT" }), 405],
    ["another upgrade", (url: string) => openSpdy(url, V4, { upgrade: "h2c" }), 400],
    ["no protocol", (url: string) => openSpdy(url, ""), 403],
    ["protocols that nobody knows", (url: string) => openSpdy(url, ["v9.channel.k8s.io"]), 403],
  ])("stays shut for %s", async (_what, open, status) => {
    const stage = await makeStage();
    const refused = (await open(stage.exec())) as Refusal;
    expect(refused).toMatchObject({ status });
    if (status === 403) {
      expect(refused.text).toContain("v5.channel.k8s.io");
      expect(refused.headers["x-accepted-stream-protocol-versions"]).toContain(V4);
    }
    expect(stage.sessions).toEqual([]);
  });

  it("says what a request without an upgrade lacks, and keeps its token", async () => {
    const stage = await makeStage();
    const url = stage.exec();
    const asked = request(url, { agent: false }).end();
    const [response] = await once(asked, "response");
    expect(response.statusCode).toBe(426);
    response.resume();
    await spdy(url, V4);
  });

  it("closes on a client that was refused and does not", async () => {
    const stage = await makeStage();
    const { port } = new URL(stage.exec());
    const socket = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => {});
    socket.write("GET /exec/none HTTP/1.1\r\nHost: x\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n");
    socket.resume();
    await once(socket, "end");
    // It can be written to until the server gives the connection up.
    await vi.waitFor(
      () => {
        socket.write("x");
        expect(socket.destroyed).toBe(true);
      },
      { timeout: 5_000 },
    );
  });

  it("survives garbage and clients that hang up", async () => {
    const stage = await makeStage();
    const { port, hostname, pathname } = new URL(stage.exec());
    for (const text of [
      "\0\0\0",
      "GET",
      `GET ${pathname} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
    ]) {
      const socket = connect(Number(port), hostname).on("error", () => {});
      socket.end(text);
      socket.resume();
      await once(socket, "close");
    }
    await spdy(stage.exec(), V4);
    await vi.waitFor(() => expect(stage.server.connectionCount).toBe(1));
  });

  it("takes the client's first protocol that it knows", async () => {
    const stage = await makeStage();
    const offered = ["v9.channel.k8s.io", "v3.channel.k8s.io, v4.channel.k8s.io"];
    expect((await spdy(stage.exec(), offered)).protocol).toBe("v3.channel.k8s.io");
    const messages = new Messages(stage.exec(), ["v9.channel.k8s.io", "v4.base64.channel.k8s.io"]);
    await messages.opened;
    expect(messages.socket.protocol).toBe("v4.base64.channel.k8s.io");
  });
});

describe("a process over SPDY", () => {
  it("begins when exactly its streams are there", async () => {
    const stage = await makeStage();
    const client = await spdy(stage.exec({ stdin: true, stderr: true }), V4);
    await streams(client, "error", "stdin", "resize", "stdout", "stdout");
    // Neither a terminal's stream nor a second one of a kind belongs to it.
    for (const id of [5, 9]) await client.control(FRAME.RST_STREAM, id);
    expect(stage.sessions).toEqual([]);
    await client.open(11, { streamtype: "stderr" });
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
  });

  it("ends when its client opens no streams", async () => {
    const stage = await makeStage(50);
    const client = await spdy(stage.exec(), V4);
    await client.open(1, { streamtype: "error" });
    await client.closed;
    expect(stage.sessions).toEqual([]);
  });

  it("passes everything on, and tells the exit code", async () => {
    const stage = await makeStage();
    const client = await spdy(stage.exec({ stdin: true, tty: true }), V4);
    await streams(client, "error", "stdin", "stdout", "resize");
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
    const [session] = stage.sessions;
    client.send(
      dataFrame(7, '{"Width":80,'),
      dataFrame(7, '"Height":24}\n{"Width":0}'),
      dataFrame(3, "in", true),
    );
    await session?.until("closeStdin");
    expect(session?.written.join("")).toBe("in");
    expect(session?.log).toContain("resize 24x80");
    session?.onStdout?.(Buffer.from("out"));
    session?.exit({ exitCode: 7, signal: 0 });
    await client.control(FRAME.GOAWAY, 7);
    expect(client.data(5).toString()).toBe("out");
    const status = JSON.parse(client.data(1).toString());
    expect(status).toMatchObject({ status: "Failure", reason: "NonZeroExitCode" });
    expect(status.details.causes).toEqual([{ reason: "ExitCode", message: "7" }]);
    expect([1, 5].map((id) => client.hasEnded(id))).toEqual([true, true]);
  });

  it("has the client's terminal size from its first moment", async () => {
    const stage = await makeStage();
    const sizes: unknown[] = [];
    const open = async (_call: unknown, size: unknown) => {
      sizes.push(size);
      return new NotingSession();
    };
    for (const message of ['{"Width":80,"Height":24}', ""]) {
      const client = await spdy(stage.exec({ tty: true, open }), V4);
      await streams(client, "error", "resize", "stdout");
      client.send(dataFrame(3, message));
      await vi.waitFor(() => expect(sizes).toHaveLength(message === "" ? 2 : 1));
    }
    expect(sizes).toEqual([{ rows: 24, columns: 80 }, undefined]);
  });

  it.each([
    ["v4.channel.k8s.io", 0, '{"metadata":{},"status":"Success"}'],
    ["v3.channel.k8s.io", 0, ""],
    ["channel.k8s.io", 2, "command terminated with exit code 2"],
  ])("over %s ends %i with %j", async (protocol, exitCode, message) => {
    const stage = await makeStage();
    const client = await spdy(stage.exec(), protocol);
    await streams(client, "error", "stdout");
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
    stage.sessions[0]?.exit({ exitCode, signal: 0 });
    await client.control(FRAME.GOAWAY, 3);
    expect(client.data(1).toString()).toBe(message);
  });

  it("that cannot be started says why", async () => {
    const stage = await makeStage();
    const open = () => Promise.reject(new BerthError("NOT_FOUND", "no such thing"));
    const client = await spdy(stage.exec({ open }), V4);
    await streams(client, "error", "stdout");
    await client.control(FRAME.GOAWAY, 3);
    const status = JSON.parse(client.data(1).toString());
    expect(status).toMatchObject({ status: "Failure", reason: "InternalError", message: "no such thing" });
  });

  it("is paused by a reader that takes nothing, and ends with its client", async () => {
    const stage = await makeStage();
    const client = await spdy(stage.exec(), V4);
    client.send(controlFrame(FRAME.SETTINGS, [1, 7, 1000]));
    await streams(client, "error", "stdout");
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
    const [session] = stage.sessions;
    session?.onStdout?.(Buffer.alloc(100_000));
    expect(session?.log).toEqual(["pause"]);
    client.send(
      controlFrame(FRAME.WINDOW_UPDATE, [3, 1_000_000]),
      controlFrame(FRAME.WINDOW_UPDATE, [0, 1_000_000]),
    );
    await session?.until("resume");
    client.transport.destroy();
    await session?.until("close");
  });

  it("goes on when one of its streams is reset", async () => {
    const stage = await makeStage();
    const client = await spdy(stage.exec({ stderr: true }), V4);
    await streams(client, "error", "stdout", "stderr");
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
    const [session] = stage.sessions;
    client.send(controlFrame(FRAME.RST_STREAM, [3, 5]), controlFrame(FRAME.PING, [1]));
    await client.control(FRAME.PING, 1);
    session?.onStdout?.(Buffer.alloc(500_000));
    session?.onStderr?.(Buffer.from("still here"));
    session?.exit({ exitCode: 0, signal: 0 });
    await client.control(FRAME.GOAWAY, 5);
    expect(client.data(5).toString()).toBe("still here");
    expect(session?.log).toEqual([]);
  });
});

describe("a process over WebSocket", () => {
  it("v5 has half-close, the terminal's size and the outcome", async () => {
    const stage = await makeStage();
    const messages = new Messages(stage.exec({ stdin: true, tty: true }), ["v5.channel.k8s.io"]);
    await messages.opened;
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
    const [session] = stage.sessions;
    // The first message is an empty one of the first channel that the client reads.
    await vi.waitFor(() => expect(messages.seen[0]).toEqual(Buffer.from([1])));
    messages.socket.send(Buffer.from('\x04{"Width":10,"Height":20}'));
    messages.socket.send(Buffer.from("\x00input"));
    messages.socket.send(Buffer.from("\x09for nobody"));
    messages.socket.send(Buffer.alloc(0));
    messages.socket.send(Buffer.from([255, 0]));
    await session?.until("closeStdin");
    expect(session?.written.join("")).toBe("input");
    expect(session?.log).toContain("resize 20x10");
    session?.onStdout?.(Buffer.from("output"));
    session?.exit({ exitCode: 3, signal: 0 });
    expect(await messages.closed).toBe(1000);
    expect(messages.channel(1).toString()).toBe("output");
    expect(JSON.parse(messages.channel(3).toString()).details.causes[0].message).toBe("3");
  });

  it("v4 knows no half-close: 255 is a channel like any other there", async () => {
    const stage = await makeStage();
    const messages = new Messages(stage.exec({ stdin: true }), [V4]);
    await messages.opened;
    messages.socket.send(Buffer.from([255, 0]));
    messages.socket.send(Buffer.from("\x00x"));
    await vi.waitFor(() => expect(stage.sessions[0]?.written).toHaveLength(1));
    expect(stage.sessions[0]?.log).toEqual(["stdin"]);
  });

  it("base64 has digits for channels and text for data", async () => {
    const stage = await makeStage();
    const messages = new Messages(stage.exec({ stdin: true }), ["v4.base64.channel.k8s.io"]);
    await messages.opened;
    messages.socket.send(`0${Buffer.from("ü in").toString("base64")}`);
    await vi.waitFor(() => expect(stage.sessions[0]?.written.join("")).toBe("ü in"));
    stage.sessions[0]?.onStdout?.(Buffer.from([0, 255]));
    stage.sessions[0]?.exit({ exitCode: 0, signal: 0 });
    await messages.closed;
    const texts = messages.seen.map(String);
    expect(texts.slice(0, 2)).toEqual(["1", `1${Buffer.from([0, 255]).toString("base64")}`]);
    expect(texts.at(-1)?.startsWith("3")).toBe(true);
  });

  it("frames as RFC 6455 has them in its examples", async () => {
    const stage = await makeStage();
    const { port, pathname } = new URL(stage.exec({ stdin: true }));
    const socket = connect(Number(port), "127.0.0.1");
    const key = "dGhlIHNhbXBsZSBub25jZQ==";
    socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
    });
    await vi.waitFor(() => expect(received.toString("latin1")).toContain("Sec-WebSocket-Accept"));
    // Section 1.3.
    expect(received.toString("latin1")).toContain("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    await vi.waitFor(() => expect(received.includes(Buffer.from("820101", "hex"))).toBe(true));
    // A masked message in two fragments, whose first byte is channel 0, and the ping "Hello" with the mask of
    // section 5.7.
    socket.write(Buffer.from("018300000000004865", "hex"));
    socket.write(Buffer.from("8082000000006c6f", "hex"));
    socket.write(Buffer.from("898537fa213d7f9f4d5158", "hex"));
    await vi.waitFor(() => expect(received.includes(Buffer.from("8a0548656c6c6f", "hex"))).toBe(true));
    expect(stage.sessions[0]?.written.join("")).toBe("Helo");
    socket.destroy();
  });

  it("a client that reads nothing is given up on nothing else, and its pings fill no memory", async () => {
    const stage = await makeStage();
    const messages = new Messages(stage.exec(), [V4]);
    await messages.opened;
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(1));
    messages.socket.pause();
    const [session] = stage.sessions;
    for (let sent = 0; sent < 200 && !session?.log.includes("pause"); sent++) {
      session?.onStdout?.(Buffer.alloc(64 * 1024));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(session?.log).toContain("pause");
    messages.socket.resume();
    await session?.until("resume");
  });

  it("a message that is too large ends the connection", async () => {
    const stage = await makeStage();
    const messages = new Messages(stage.exec({ stdin: true }), [V4]);
    await messages.opened;
    messages.socket.send(Buffer.alloc(5 * 1024 * 1024));
    expect(await messages.closed).toBe(1009);
    await stage.sessions[0]?.until("close");
  });
});

describe("the end of the server", () => {
  it("tells every client, ends execs, and leaves nothing open", async () => {
    const stage = await makeStage();
    const client = await spdy(stage.exec(), V4);
    await streams(client, "error", "stdout");
    const messages = new Messages(stage.exec(), [V4]);
    await messages.opened;
    await vi.waitFor(() => expect(stage.sessions).toHaveLength(2));
    for (const session of stage.sessions)
      session.until("close").then(() => session.exit({ exitCode: 137, signal: 9 }));
    const unused = stage.exec();
    await stage.server.close();
    expect(JSON.parse(client.data(1).toString()).message).toContain("stopping");
    expect(JSON.parse(messages.channel(3).toString()).message).toContain("stopping");
    expect(stage.server.connectionCount).toBe(0);
    await expect(openSpdy(unused, V4)).rejects.toThrow("ECONNREFUSED");
  });
});
