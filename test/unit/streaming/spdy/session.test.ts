// A session between two ends of a pipe: streams, windows, resets, and clients that misbehave.

import { type Duplex, duplexPair } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { FRAME, GOAWAY, INITIAL_WINDOW_BYTES, RESET } from "../../../../src/streaming/spdy/frames.ts";
import { MAX_STREAMS, SpdySession, STREAM_HOLD_BYTES } from "../../../../src/streaming/spdy/session.ts";
import type { SpdyStream } from "../../../../src/streaming/spdy/stream.ts";
import { controlFrame, dataFrame, HeaderDeflater, SpdyClient } from "./client.ts";

interface Peer {
  readonly client: SpdyClient;
  readonly session: SpdySession;
  readonly streams: SpdyStream[];
  readonly transport: Duplex;
  readonly closed: Promise<Error | null>;
}

function connect(onStream: (stream: SpdyStream) => void = (stream) => stream.accept()): Peer {
  const [transport, other] = duplexPair();
  const streams: SpdyStream[] = [];
  const end = Promise.withResolvers<Error | null>();
  const session = new SpdySession(transport, Buffer.alloc(0), {
    onStream: (stream) => {
      streams.push(stream);
      onStream(stream);
    },
    onClosed: end.resolve,
  });
  return { client: new SpdyClient(other), session, streams, transport, closed: end.promise };
}

const echo = (stream: SpdyStream) => stream.accept().pipe(stream);

describe("a stream", () => {
  it("is answered, echoes, and ends half by half", async () => {
    const { client, session } = connect(echo);
    await client.open(1, { streamtype: "data" });
    await client.control(FRAME.SYN_REPLY, 1);
    client.send(dataFrame(1, "hello "), dataFrame(1, "world", true));
    await client.until((frame) => "streamId" in frame && frame.fin);
    expect(client.data(1).toString()).toBe("hello world");
    await vi.waitFor(() => expect(session.streamCount).toBe(0));
    expect(client.controls(FRAME.RST_STREAM)).toEqual([]);
  });

  it("that the client resets ends alone", async () => {
    const { client, streams } = connect(echo);
    await client.open(1, {});
    await client.open(3, {});
    await client.control(FRAME.SYN_REPLY, 3);
    const gone = new Promise((resolve) => streams[0]?.once("close", resolve));
    client.send(
      controlFrame(FRAME.RST_STREAM, [1, RESET.CANCEL]),
      dataFrame(1, "late"),
      dataFrame(3, "fine", true),
    );
    await gone;
    await client.until((frame) => "streamId" in frame && frame.streamId === 3 && frame.fin);
    expect(client.data(3).toString()).toBe("fine");
    // Nothing is said of a stream that the client itself gave up.
    expect(client.controls(FRAME.RST_STREAM)).toEqual([]);
  });

  it("that is destroyed here is reset there", async () => {
    const { client, streams } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    streams[0]?.destroy();
    const reset = await client.control(FRAME.RST_STREAM, 1);
    expect("payload" in reset && reset.payload.readUInt32BE(4)).toBe(RESET.CANCEL);
  });

  it("begins with its end when it is opened with FIN", async () => {
    const { client, streams } = connect((stream) => stream.accept().resume());
    await client.open(1, {}, 1);
    await client.control(FRAME.SYN_REPLY, 1);
    await vi.waitFor(() => expect(streams[0]?.readableEnded).toBe(true));
  });

  it("can be refused", async () => {
    const { client, session } = connect((stream) => stream.refuse());
    await client.open(1, {});
    const reset = await client.control(FRAME.RST_STREAM, 1);
    expect("payload" in reset && reset.payload.readUInt32BE(4)).toBe(RESET.REFUSED_STREAM);
    expect(session.streamCount).toBe(0);
  });
});

describe("windows", () => {
  it("of a client that has them are kept, per stream and for the session", async () => {
    const { client, streams } = connect();
    client.send(controlFrame(FRAME.SETTINGS, [1, 7, 10]));
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    const written = vi.fn();
    streams[0]?.write(Buffer.alloc(25, 1), written);
    await vi.waitFor(() => expect(client.data(1)).toHaveLength(10));
    await turn();
    expect(client.data(1)).toHaveLength(10);
    expect(written).not.toHaveBeenCalled();
    client.send(controlFrame(FRAME.WINDOW_UPDATE, [1, 7]));
    await vi.waitFor(() => expect(client.data(1)).toHaveLength(17));
    client.send(controlFrame(FRAME.WINDOW_UPDATE, [1, 100]));
    await vi.waitFor(() => expect(written).toHaveBeenCalled());
    expect(client.data(1)).toHaveLength(25);
  });

  it("of the session hold every stream", async () => {
    const { client, streams } = connect();
    client.send(controlFrame(FRAME.SETTINGS, [1, 7, 10 * INITIAL_WINDOW_BYTES]));
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    streams[0]?.write(Buffer.alloc(INITIAL_WINDOW_BYTES + 5));
    await vi.waitFor(() => expect(client.data(1)).toHaveLength(INITIAL_WINDOW_BYTES));
    client.send(controlFrame(FRAME.WINDOW_UPDATE, [0, 3]));
    await vi.waitFor(() => expect(client.data(1)).toHaveLength(INITIAL_WINDOW_BYTES + 3));
  });

  it("do not count for a client that never spoke of them", async () => {
    const { client, streams } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    streams[0]?.end(Buffer.alloc(5 * INITIAL_WINDOW_BYTES));
    await vi.waitFor(() => expect(client.hasEnded(1)).toBe(true));
    expect(client.data(1)).toHaveLength(5 * INITIAL_WINDOW_BYTES);
  });

  it("are given back as a reader takes what came", async () => {
    const { client, streams } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    client.send(dataFrame(1, Buffer.alloc(INITIAL_WINDOW_BYTES)));
    await vi.waitFor(() => expect(streams[0]?.readableLength).toBe(INITIAL_WINDOW_BYTES));
    const credits = (id: number) =>
      client
        .controls(FRAME.WINDOW_UPDATE)
        .filter((payload) => payload.readUInt32BE(0) === id)
        .reduce((sum, payload) => sum + payload.readUInt32BE(4), 0);
    await vi.waitFor(() => expect(credits(0)).toBe(INITIAL_WINDOW_BYTES));
    expect(credits(1)).toBe(0);
    streams[0]?.resume();
    await vi.waitFor(() => expect(credits(1)).toBe(INITIAL_WINDOW_BYTES));
  });

  it("that overflow end the stream", async () => {
    const { client } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    client.send(controlFrame(FRAME.WINDOW_UPDATE, [1, 0x7fff_ffff]));
    const reset = await client.control(FRAME.RST_STREAM, 1);
    expect("payload" in reset && reset.payload.readUInt32BE(4)).toBe(RESET.FLOW_CONTROL_ERROR);
  });
});

describe("a client without windows", () => {
  it("is not read while nobody takes what it sent, and goes on afterwards", async () => {
    const { client, streams, transport } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    const total = 4 * STREAM_HOLD_BYTES;
    for (let sent = 0; sent < total; sent += 32 * 1024) client.send(dataFrame(1, Buffer.alloc(32 * 1024)));
    await vi.waitFor(() => expect(transport.isPaused()).toBe(true));
    expect(streams[0]?.readableLength).toBeLessThan(2 * STREAM_HOLD_BYTES);
    let read = 0;
    streams[0]?.on("data", (chunk: Buffer) => {
      read += chunk.length;
    });
    await vi.waitFor(() => expect(read).toBe(total));
    expect(transport.isPaused()).toBe(false);
  });

  it("is written to while it is held, so that its death is noticed", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      const { client, transport } = connect();
      await client.open(1, {});
      await client.control(FRAME.SYN_REPLY, 1);
      client.send(dataFrame(1, Buffer.alloc(2 * STREAM_HOLD_BYTES)));
      await vi.waitFor(() => expect(transport.isPaused()).toBe(true));
      vi.advanceTimersByTime(11_000);
      await vi.waitFor(() => expect(client.controls(FRAME.PING)).toHaveLength(2));
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the session", () => {
  it("answers pings, and its own answers it does not", async () => {
    const { client } = connect();
    client.send(controlFrame(FRAME.PING, [2]), controlFrame(FRAME.PING, [7]));
    await client.control(FRAME.PING, 7);
    expect(client.controls(FRAME.PING)).toHaveLength(1);
  });

  it("lets its streams go on after the client's GOAWAY", async () => {
    const { client } = connect(echo);
    await client.open(1, {});
    client.send(controlFrame(FRAME.GOAWAY, [0, GOAWAY.OK]), dataFrame(1, "still", true));
    await client.until((frame) => "streamId" in frame && frame.fin);
    expect(client.data(1).toString()).toBe("still");
  });

  it("says goodbye, and lets the client close", async () => {
    const { client, session, closed } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    session.finish();
    await client.control(FRAME.GOAWAY, 1);
    await client.closed;
    client.transport.end();
    expect(await closed).toBeNull();
  });

  it("closes every stream when the client is gone", async () => {
    const { client, streams, closed } = connect();
    await client.open(1, {});
    await client.control(FRAME.SYN_REPLY, 1);
    client.transport.destroy();
    await closed;
    expect(streams[0]?.destroyed).toBe(true);
  });

  it.each([
    ["an even stream", [controlFrame(FRAME.SYN_STREAM, [2, 0], Buffer.alloc(10))]],
    ["a SYN_STREAM without headers", [controlFrame(FRAME.SYN_STREAM, [1, 0])]],
    ["a header block that is none", [controlFrame(FRAME.SYN_STREAM, [1, 0], Buffer.from("xx no zlib"))]],
    ["a SYN_REPLY", [controlFrame(FRAME.SYN_REPLY, [1], Buffer.alloc(4))]],
    ["an unknown frame", [controlFrame(77, [1])]],
    ["a short RST_STREAM", [controlFrame(FRAME.RST_STREAM, [])]],
    ["SETTINGS that lie about their number", [controlFrame(FRAME.SETTINGS, [9, 7, 1])]],
    ["a session window without end", Array(3).fill(controlFrame(FRAME.WINDOW_UPDATE, [0, 0x7fff_ffff]))],
  ])("gives up a client that sends %s", async (_what, frames) => {
    const { client, closed } = connect();
    client.send(...frames);
    const cause = await closed;
    expect(cause?.name).toBe("SpdyError");
    await vi.waitFor(() => expect(client.controls(FRAME.GOAWAY)).toHaveLength(1));
    expect(client.controls(FRAME.GOAWAY)[0]?.readUInt32BE(4)).toBe(GOAWAY.PROTOCOL_ERROR);
  });

  it("refuses streams beyond its bound and keeps those below", async () => {
    const { client, session } = connect();
    const deflater = new HeaderDeflater();
    const frames: Buffer[] = [];
    for (let index = 0; index < MAX_STREAMS + 3; index++) {
      const rest = Buffer.concat([Buffer.from([0, 0]), await deflater.block({})]);
      frames.push(controlFrame(FRAME.SYN_STREAM, [2 * index + 1, 0], rest));
    }
    client.send(...frames);
    await client.control(FRAME.RST_STREAM, 2 * (MAX_STREAMS + 2) + 1);
    expect(session.streamCount).toBe(MAX_STREAMS);
  });

  it("does not answer a flood of pings that nobody reads", async () => {
    const { client, transport } = connect();
    client.transport.pause();
    const flood = Buffer.concat(Array(10_000).fill(controlFrame(FRAME.PING, [1])));
    for (let round = 0; round < 20; round++) client.transport.write(flood);
    await vi.waitFor(() => expect(transport.isPaused()).toBe(true));
    expect(transport.writableLength).toBeLessThan(512 * 1024);
    client.transport.resume();
    await vi.waitFor(() => expect(client.controls(FRAME.PING)).toHaveLength(200_000), { timeout: 10_000 });
  });

  it("tells of data for a stream that never was", async () => {
    const { client } = connect();
    client.send(dataFrame(99, "x"));
    const reset = await client.control(FRAME.RST_STREAM, 99);
    expect("payload" in reset && reset.payload.readUInt32BE(4)).toBe(RESET.INVALID_STREAM);
  });
});
