import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as messages from "../../../src/monitor/messages.ts";
import { FRAME, type Frame, FrameReader, PayloadWriter } from "../../../src/monitor/protocol.ts";

interface Vector {
  readonly name: keyof typeof FRAME;
  readonly id: number;
  readonly hex: string;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL("../../vectors/monitor-frames.json", import.meta.url), "utf8"),
).frames;
const all = Buffer.concat(vectors.map((vector) => Buffer.from(vector.hex, "hex")));

const container = "0123456789abcdef".repeat(4);
const cgroupPath = "/sys/fs/cgroup/berth/berth-1/c-1";
const plan = Buffer.from("BPLN plan");
const prepare = {
  id: container,
  cgroupPath,
  logPath: "/var/log/pods/a/0.log",
  tty: true,
  stdin: false,
  stdinOnce: true,
  pidTarget: "",
  plan,
};
const exec = { container, cgroupPath, tty: true, stdin: true, rows: 24, columns: 80, plan };

/** What the daemon sends, per type. */
const encoded: Partial<Record<keyof typeof FRAME, Buffer>> = {
  HELLO: messages.encodeHello(),
  PREPARE: messages.encodePrepare(1, prepare),
  START: messages.encodeStart(2, container),
  FORGET: messages.encodeNamed(3, FRAME.FORGET, container),
  RESIZE: messages.encodeResize(4, container, 50, 132),
  REOPEN_LOG: messages.encodeNamed(5, FRAME.REOPEN_LOG, container),
  SHUTDOWN: messages.encodeEmpty(6, FRAME.SHUTDOWN),
  EXEC: messages.encodeExec(exec),
  ATTACH: messages.encodeAttach(container, { stdin: true }),
  STDIN: messages.encodeStdin(Buffer.from("input\n")),
  STDIN_CLOSE: messages.encodeEmpty(0, FRAME.STDIN_CLOSE),
  WINDOW: messages.encodeWindow(24, 80),
  RUN: messages.encodeRun(7, {
    target: container,
    cgroup: "/sys/fs/cgroup/berth/berth-1/r-1",
    limitMs: 30_000,
    stdin: Buffer.from('{"status":"creating"}'),
    plan,
  }),
  PROCEED: messages.encodeNamed(8, FRAME.PROCEED, container),
};

const exit = { finishedAt: 1_700_000_001_000_000, exitCode: 137, signal: 9, oomKilled: true };
const started = { pid: 4242, startTime: 123_456_789_012 };

/** What the daemon understands, per type. */
const decoded: Partial<Record<keyof typeof FRAME, [(payload: Buffer) => unknown, unknown]>> = {
  WELCOME: [
    messages.decodeWelcome,
    {
      version: 2,
      pid: 4000,
      podInitPid: 4001,
      containers: [
        { id: container, state: "running", process: started, startedAt: 1_700_000_000_000_000, exit: null },
        { id: "ff", state: "exited", process: { pid: 5, startTime: 6 }, startedAt: null, exit },
      ],
    },
  ],
  DONE: [messages.decodeProcess, started],
  FAILED: [
    (payload) => {
      const { step, errno, path } = messages.decodeFailed(payload);
      return { step, errno, path };
    },
    { step: "plan:17", errno: "ENOENT", path: "/data" },
  ],
  EXITED: [messages.decodeExited, { id: container, exit }],
  STREAM_STARTED: [messages.decodeProcess, started],
  STDOUT: [String, "output\n"],
  STDERR: [String, "complaint\n"],
  STREAM_EXITED: [messages.decodeStreamExited, { exitCode: 137, signal: 9 }],
};

function readAll(reader: FrameReader): Frame[] {
  const frames: Frame[] = [];
  for (let frame = reader.next(); frame !== null; frame = reader.next()) frames.push(frame);
  return frames;
}

function readChunks(chunks: Buffer[]): Frame[] {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) => {
    reader.push(chunk);
    return readAll(reader);
  });
}

describe("vectors", () => {
  test("there is one of every type", () => {
    expect(vectors.map((vector) => vector.name).toSorted()).toEqual(Object.keys(FRAME).toSorted());
  });

  test.each(vectors)("$name", ({ name, id, hex }) => {
    const frame = readChunks([Buffer.from(hex, "hex")])[0] as Frame;
    expect([frame.type, frame.id]).toEqual([FRAME[name], id]);
    const sent = encoded[name];
    const received = decoded[name];
    if (sent !== undefined) expect(sent.toString("hex")).toBe(hex);
    if (received !== undefined) expect(received[0](frame.payload)).toEqual(received[1]);
    expect(sent !== undefined || received !== undefined).toBe(true);
  });
});

describe("FrameReader", () => {
  const whole = readChunks([all]);

  test("reads frames that are cut at every byte position", () => {
    for (let cut = 0; cut <= all.length; cut++) {
      expect(readChunks([all.subarray(0, cut), all.subarray(cut)])).toEqual(whole);
    }
  });

  test("reads frames byte by byte, and all from one queue", () => {
    const bytes = [...all].map((byte) => Buffer.from([byte]));
    expect(readChunks(bytes)).toEqual(whole);
    const reader = new FrameReader();
    for (const byte of bytes) reader.push(byte);
    expect(readAll(reader)).toEqual(whole);
  });

  test("reads the largest legal frame in small pieces", () => {
    const payload = Buffer.alloc(1024 * 1024, "x");
    const bytes = new PayloadWriter().bytes(payload).frame(FRAME.STDOUT, 0);
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 7) chunks.push(bytes.subarray(at, at + 7));
    const frames = readChunks(chunks);
    expect(frames).toHaveLength(1);
    expect(frames[0]?.payload.equals(payload)).toBe(true);
  });

  test("refuses frames above 1 MiB from their header on, and goes on refusing", () => {
    const header = Buffer.alloc(12);
    header.writeUInt32LE(1024 * 1024 + 1, 0);
    const reader = new FrameReader();
    reader.push(header);
    expect(() => reader.next()).toThrow("at most 1048576 are legal");
    expect(() => reader.next()).toThrow("at most 1048576 are legal");
  });

  test("refuses a header whose zero is none", () => {
    const reader = new FrameReader();
    reader.push(Buffer.from("000000004000010000000000", "hex"));
    expect(() => reader.next()).toThrow("damaged header");
  });
});

describe("payloads", () => {
  test("every truncation of an answer is an error", () => {
    for (const { name, hex } of vectors) {
      const decode = decoded[name]?.[0];
      if (decode === undefined || name === "STDOUT" || name === "STDERR") continue;
      const payload = Buffer.from(hex, "hex").subarray(12);
      for (let length = 0; length < payload.length; length++) {
        expect(() => decode(payload.subarray(0, length)), `${name} of ${length} bytes`).toThrow(
          "ends within",
        );
      }
    }
  });

  test("fields that a later monitor adds at the end are passed over", () => {
    const payload = Buffer.concat([Buffer.from([1, 0]), Buffer.from("more")]);
    expect(messages.decodeStreamExited(payload)).toEqual({ exitCode: 1, signal: 0 });
  });

  test("a requested size beyond 16 bits becomes the largest one", () => {
    const frame = readChunks([messages.encodeWindow(2 ** 32 - 1, -1)])[0] as Frame;
    expect(frame.payload.toString("hex")).toBe("ffff0000");
  });

  test("refuses requests above 1 MiB and strings above 65535 bytes", () => {
    const huge = { ...exec, plan: Buffer.alloc(1024 * 1024) };
    expect(() => messages.encodeExec(huge)).toThrow("use fewer mounts");
    expect(() => new PayloadWriter().str("y".repeat(65_536))).toThrow("65536 bytes long");
  });

  test("a detached exec says so in its flags", () => {
    const flags = (bytes: Buffer) =>
      bytes.readUInt8(12 + 2 + exec.container.length + 2 + exec.cgroupPath.length);
    expect(flags(messages.encodeExec({ ...exec, detached: true }))).toBe(
      flags(messages.encodeExec(exec)) | 16,
    );
  });

  test("integers beyond what a number holds are an error", () => {
    expect(() => messages.decodeStartedAt(Buffer.alloc(8, 0xff))).toThrow("too large");
  });

  test("a failure outside the plan names its primitive", () => {
    const writer = new PayloadWriter().u32(0xffff).str("ENOMEM").str("clone3").str("");
    expect(messages.decodeFailed(writer.frame(FRAME.FAILED, 1).subarray(12))).toMatchObject({
      step: "clone3",
      errno: "ENOMEM",
      code: "RESOURCE_EXHAUSTED",
    });
  });
});
