import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Metadata, type ServerDuplexStream, type ServerWritableStream, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { Channel } from "../../../src/cli/client/channel.ts";
import { FrameReader, frame, MAX_MESSAGE } from "../../../src/cli/client/framing.ts";
import * as methods from "../../../src/cli/client/methods.ts";
import { opening } from "../../../src/cli/session.ts";
import {
  type AttachRequest,
  AttachResponse,
  EngineService,
  InspectResponse,
  type LoadImageRequest,
  LoadImageResponse,
  type LogsRequest,
  LogsResponse,
} from "../../../src/gen/berth/v1/engine.ts";
import { startServer, type TestServer } from "./server.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

type Handlers = Record<string, unknown>;

async function serve(handlers: Handlers): Promise<{ channel: Channel; server: TestServer }> {
  const server = await startServer((grpc) => grpc.addService(EngineService, handlers as never));
  cleanups.push(server.close);
  const channel = await Channel.open(server.socket);
  cleanups.push(() => channel.destroy());
  return { channel, server };
}

const json = (text: string) => InspectResponse.fromPartial({ json: text });

describe("frames", () => {
  it("come out as they went in, wherever the stream is cut", () => {
    const messages = ["", "a", "x".repeat(1000)].map((text) => Buffer.from(text));
    const stream = Buffer.concat(messages.map(frame));
    for (const size of [1, 3, 5, 7, 1004, stream.length]) {
      const reader = new FrameReader();
      const out: Buffer[] = [];
      for (let at = 0; at < stream.length; at += size)
        out.push(...reader.push(stream.subarray(at, at + size)));
      expect(out.map(String)).toEqual(messages.map(String));
      expect(reader.unfinished).toBe(false);
    }
  });
  it("that are compressed or too long are refused", () => {
    expect(() => new FrameReader().push(Buffer.from([1, 0, 0, 0, 0]))).toThrow("compressed");
    const long = Buffer.alloc(5);
    long.writeUInt32BE(MAX_MESSAGE + 1, 1);
    expect(() => new FrameReader().push(long)).toThrow("too long");
  });
});

describe("unary calls", () => {
  it("carry large messages both ways", async () => {
    const text = "ü".repeat(3_000_000);
    const { channel } = await serve({
      inspect: (call: { request: { name: string } }, answer: (e: null, r: unknown) => void) =>
        answer(null, json(call.request.name)),
    });
    const response = await channel.unary(methods.inspect, { type: "", name: text });
    expect(response.json === text).toBe(true);
  });

  it("run side by side on one connection", async () => {
    const { channel } = await serve({
      inspect: (call: { request: { name: string } }, answer: (e: null, r: unknown) => void) =>
        setImmediate(() => answer(null, json(call.request.name))),
    });
    const names = Array.from({ length: 50 }, (_, index) => String(index));
    const answers = await Promise.all(
      names.map((name) => channel.unary(methods.inspect, { type: "", name })),
    );
    expect(answers.map((answer) => answer.json)).toEqual(names);
  });

  it("reject with the status, its message in any script, and the errno", async () => {
    const metadata = new Metadata();
    metadata.set("berth-errno", "ENOENT");
    metadata.set("berth-step", "execve");
    const { channel } = await serve({
      inspect: (_: unknown, answer: (e: unknown) => void) =>
        answer({ code: status.NOT_FOUND, details: 'no such "büchse"\n100 %', metadata }),
    });
    await expect(channel.unary(methods.inspect, { type: "", name: "" })).rejects.toMatchObject({
      name: "RpcError",
      code: "NOT_FOUND",
      message: 'no such "büchse"\n100 %',
      errno: "ENOENT",
      step: "execve",
    });
  });

  it("reject when the daemon does not know the method", async () => {
    const { channel } = await serve({});
    await expect(channel.unary(methods.version, { version: "" })).rejects.toMatchObject({
      code: "UNIMPLEMENTED",
    });
  });

  it("reject when the daemon goes away", async () => {
    let called = () => {};
    const reached = new Promise<void>((resolve) => {
      called = resolve;
    });
    const { channel, server } = await serve({ inspect: () => called() });
    const call = channel.unary(methods.inspect, { type: "", name: "" });
    const failed = expect(call).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/connection to berthd broke/),
    });
    await reached;
    server.close();
    await failed;
  });
});

describe("server streams", () => {
  it("end with their status after the messages", async () => {
    const { channel } = await serve({
      logs: (call: ServerWritableStream<LogsRequest, LogsResponse>) => {
        for (let index = 0; index < 100; index++) {
          call.write(LogsResponse.fromPartial({ records: [{ time: String(index) }] }));
        }
        call.emit("error", { code: status.ABORTED, details: "enough" });
      },
    });
    const seen: string[] = [];
    const read = async () => {
      for await (const { records } of channel.stream(methods.logs, request()))
        seen.push(records[0]?.time ?? "");
    };
    await expect(read()).rejects.toMatchObject({ code: "ABORTED", message: "enough" });
    expect(seen.length).toBe(100);
  });

  it("are cancelled by whoever stops reading, and wait for a slow one", async () => {
    let cancelled = () => {};
    const ended = new Promise<void>((resolve) => {
      cancelled = resolve;
    });
    let written = 0;
    const { channel } = await serve({
      logs: (call: ServerWritableStream<LogsRequest, LogsResponse>) => {
        const content = Buffer.alloc(100_000);
        call.on("cancelled", cancelled);
        const fill = () => {
          while (!call.cancelled && written < 1000) {
            written++;
            if (!call.write(LogsResponse.fromPartial({ records: [{ content }] }))) break;
          }
        };
        call.on("drain", fill);
        fill();
      },
    });
    for await (const _ of channel.stream(methods.logs, request())) break;
    await ended;
    expect(written).toBeLessThan(200);
  });
});

function request() {
  return { containerId: "x", follow: true, sinceNs: 0n, tail: undefined };
}

describe("streams of the client", () => {
  it("are taken with back-pressure and answered once", async () => {
    const { channel } = await serve({
      loadImage: async (
        call: AsyncIterable<LoadImageRequest>,
        answer: (e: null, r: LoadImageResponse) => void,
      ) => {
        let size = 0;
        for await (const { data } of call) size += data.length;
        answer(null, LoadImageResponse.fromPartial({ images: [{ imageId: String(size) }] }));
      },
    });
    const call = channel.call(methods.loadImage);
    for (let index = 0; index < 100; index++) {
      if (!call.write({ data: Buffer.alloc(200_000) })) await call.drained();
    }
    call.end();
    for await (const { images } of call.responses()) expect(images[0]?.imageId).toBe("20000000");
  });

  it("may be answered before they end", async () => {
    const { channel } = await serve({
      loadImage: (_: unknown, answer: (e: unknown) => void) =>
        answer({ code: status.INVALID_ARGUMENT, details: "not a tar" }),
    });
    const call = channel.call(methods.loadImage);
    call.write({ data: Buffer.alloc(10) });
    const read = async () => {
      for await (const _ of call.responses());
    };
    await expect(read()).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: "not a tar" });
  });

  it("go both ways at once", async () => {
    const { channel } = await serve({
      attach: (call: ServerDuplexStream<AttachRequest, AttachResponse>) => {
        call.on("data", (message: AttachRequest) => {
          call.write(AttachResponse.fromPartial({ stdout: message.stdin }));
          if (message.closeStdin) call.end();
        });
      },
    });
    const call = channel.call(methods.attach);
    call.write(opening({ containerId: "x", stdin: true, size: undefined }));
    const echoed: string[] = [];
    for await (const { stdout } of call.responses()) {
      echoed.push(stdout.toString());
      const closeStdin = echoed.length === 3;
      const stdin = Buffer.from(closeStdin ? "" : String(echoed.length));
      if (echoed.length < 4) call.write({ start: undefined, stdin, closeStdin, resize: undefined });
    }
    expect(echoed).toEqual(["", "1", "2", ""]);
  });
});

describe("connecting", () => {
  it("says what to do when nobody listens", async () => {
    await expect(Channel.open("/tmp/berth-none/s")).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(
        /cannot connect to berthd at "\/tmp\/berth-none\/s" \(ENOENT\): is it running\? start it with/,
      ),
    });
  });

  it("fails when what listens is no gRPC server", async () => {
    const directory = mkdtempSync("/tmp/berth-rpc-");
    const path = join(directory, "s");
    const server = createServer((socket) => socket.end("hello\r\n"));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    cleanups.push(
      () => rmSync(directory, { recursive: true }),
      () => server.close(),
    );
    const channel = await Channel.open(path);
    await expect(channel.unary(methods.info, {})).rejects.toMatchObject({ name: "RpcError" });
  });
});
