// Frames against those that the library of Kubernetes' clients writes, and against nonsense.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type ControlFrame,
  dataHeader,
  FRAME,
  FrameParser,
  goAway,
  MAX_CONTROL_BYTES,
  ping,
  rstStream,
  SpdyError,
  windowUpdate,
} from "../../../../src/streaming/spdy/frames.ts";
import {
  emptyHeaderBlock,
  HeaderInflater,
  MAX_HEADER_BLOCK_BYTES,
  parseHeaders,
} from "../../../../src/streaming/spdy/header-block.ts";
import { controlFrame, dataFrame, HeaderDeflater } from "./client.ts";

const { frames } = JSON.parse(readFileSync("test/vectors/spdy-frames.json", "utf8")) as {
  frames: { name: string; hex: string }[];
};
const all = Buffer.concat(frames.map(({ hex }) => Buffer.from(hex, "hex")));
const vector = (name: string) => Buffer.from(frames.find((frame) => frame.name === name)?.hex ?? "", "hex");

function parse(chunks: Iterable<Buffer>) {
  const parser = new FrameParser();
  const found: NonNullable<ReturnType<FrameParser["next"]>>[] = [];
  for (const chunk of chunks) {
    parser.push(chunk);
    for (let frame = parser.next(); frame !== null; frame = parser.next()) found.push(frame);
  }
  return found;
}

const bytewise = (bytes: Buffer) => [...bytes].map((byte) => Buffer.from([byte]));

describe("the parser", () => {
  it("reads what moby/spdystream writes", async () => {
    const found = parse([all]);
    expect(found.map((frame) => (frame.kind === "data" ? "data" : frame.type))).toEqual([
      ...[FRAME.SYN_STREAM, FRAME.SYN_STREAM, FRAME.SYN_STREAM, FRAME.HEADERS, FRAME.RST_STREAM, FRAME.PING],
      ...[FRAME.GOAWAY, FRAME.WINDOW_UPDATE, FRAME.SETTINGS, "data", "data"],
    ]);
    expect(found.at(-2)).toMatchObject({ streamId: 3, bytes: Buffer.from("hello"), fin: false });
    expect(found.at(-1)).toMatchObject({ streamId: 3, bytes: Buffer.alloc(0), fin: true });
    const blocks = found.flatMap((frame) => {
      if (frame.kind === "data") return [];
      if (frame.type === FRAME.SYN_STREAM) return [frame.payload.subarray(10)];
      return frame.type === FRAME.HEADERS ? [frame.payload.subarray(4)] : [];
    });
    const inflater = new HeaderInflater();
    const read: object[] = [];
    for (const block of blocks) read.push(Object.fromEntries(await inflater.inflate(block)));
    inflater.close();
    expect(read).toEqual([
      { streamtype: "error" },
      { streamtype: "data", port: "8080", requestid: "7" },
      { x: "one" },
      { later: "value" },
    ]);
  });

  it("does not care how the bytes are cut", () => {
    const joined = (chunks: Iterable<Buffer>) =>
      parse(chunks)
        .filter((frame) => frame.kind === "data")
        .map(({ bytes }) => bytes.toString())
        .join("");
    expect(joined(bytewise(all))).toBe("hello");
    const controls = (chunks: Iterable<Buffer>) => parse(chunks).filter((frame) => frame.kind === "control");
    expect(controls(bytewise(all))).toEqual(controls([all]));
  });

  it("hands a large data frame on in pieces", () => {
    const frame = dataFrame(1, Buffer.alloc(300_000, 1), true);
    const pieces = parse([
      frame.subarray(0, 100_000),
      frame.subarray(100_000, 100_010),
      frame.subarray(100_010),
    ]);
    expect(pieces).toHaveLength(3);
    expect(pieces.map((piece) => piece.kind === "data" && piece.fin)).toEqual([false, false, true]);
  });

  it.each([
    ["another version", Buffer.from("8002000100000000", "hex")],
    ["data for stream 0", Buffer.from("0000000000000001ff", "hex")],
    ["a control frame that is too long", controlFrame(FRAME.PING, [], Buffer.alloc(MAX_CONTROL_BYTES + 1))],
  ])("refuses %s", (_what, bytes) => {
    expect(() => parse([bytes])).toThrow(SpdyError);
  });
});

describe("what is written", () => {
  it("is what moby/spdystream writes", () => {
    expect(rstStream(3, 5)).toEqual(vector("rst-stream"));
    expect(ping(9)).toEqual(vector("ping"));
    expect(goAway(5, 0)).toEqual(vector("go-away"));
    expect(windowUpdate(3, 4096)).toEqual(vector("window-update"));
    expect(Buffer.concat([dataHeader(3, 5), Buffer.from("hello")])).toEqual(vector("data"));
    expect(dataHeader(3, 0, 1)).toEqual(vector("data fin"));
  });

  it("has empty header blocks that inflate one after the other", async () => {
    const inflater = new HeaderInflater();
    for (const isFirst of [true, false, false]) {
      expect((await inflater.inflate(emptyHeaderBlock(isFirst))).size).toBe(0);
    }
    inflater.close();
  });
});

describe("header blocks", () => {
  it("that inflate to too much are given up before they are in memory", async () => {
    const bomb = await new HeaderDeflater().bytes(Buffer.alloc(40 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(MAX_CONTROL_BYTES);
    const inflater = new HeaderInflater();
    await expect(inflater.inflate(bomb)).rejects.toThrow(`more than ${MAX_HEADER_BLOCK_BYTES}`);
  });

  it("that are no zlib are refused", async () => {
    const inflater = new HeaderInflater();
    await expect(inflater.inflate(Buffer.from("nonsense, no zlib"))).rejects.toThrow(SpdyError);
  });

  it("of a closed connection are rejected", async () => {
    const inflater = new HeaderInflater();
    const block = inflater.inflate(emptyHeaderBlock(true));
    inflater.close();
    await expect(block).rejects.toThrow("closed");
  });

  it.each([
    ["nothing", ""],
    ["fewer headers than it says", "00000001"],
    ["a name that is longer than the block", "00000001ffffffff6161"],
    ["too many headers", "0000ffff"],
    ["something behind them", "0000000000"],
    ["a name twice", "00000002000000016100000001620000000161 0000000163".replace(" ", "")],
  ])("with %s are refused", (_what, hex) => {
    expect(() => parseHeaders(Buffer.from(hex, "hex"))).toThrow(SpdyError);
  });
});

it("ControlFrame keeps flags", () => {
  const [frame] = parse([controlFrame(FRAME.HEADERS, [1], Buffer.alloc(0), 1)]) as ControlFrame[];
  expect(frame?.flags).toBe(1);
});
