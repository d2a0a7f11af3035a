import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { KernelError } from "../../../src/lib/errors.ts";
import { encodeAttach, encodeExec } from "../../../src/monitor/messages.ts";
import { FRAME, PayloadWriter } from "../../../src/monitor/protocol.ts";
import { MonitorStream } from "../../../src/monitor/stream-session.ts";
import {
  containerId,
  failedPayload,
  type Peer,
  podId,
  processPayload,
  ScriptedMonitor,
  settle,
} from "./scripted-monitor.ts";

const plan = Buffer.from("plan");
const request = {
  container: containerId,
  cgroupPath: "/c",
  tty: false,
  stdin: true,
  rows: 0,
  columns: 0,
  plan,
};
let scripted: ScriptedMonitor;

beforeEach(async () => {
  scripted = await new ScriptedMonitor().listen();
});
afterEach(() => scripted.close());

function open(kind: "exec" | "attach" = "exec", closeGuardMs = 10_000): MonitorStream {
  const first = kind === "exec" ? encodeExec(request) : encodeAttach(containerId, { stdin: true });
  return new MonitorStream({ kind, podId, socketPath: scripted.socketPath, first, closeGuardMs });
}

async function opened(
  kind: "exec" | "attach" = "exec",
  closeGuardMs?: number,
): Promise<{ session: MonitorStream; peer: Peer }> {
  const session = open(kind, closeGuardMs);
  const peer = await scripted.accept();
  await peer.expect(FRAME.HELLO);
  await peer.expect(kind === "exec" ? FRAME.EXEC : FRAME.ATTACH);
  return { session, peer };
}

/** Collects both streams as "o:text" and "e:text". */
function record(session: MonitorStream): string[] {
  const seen: string[] = [];
  session.onStdout = (chunk) => seen.push(`o:${chunk}`);
  session.onStderr = (chunk) => seen.push(`e:${chunk}`);
  return seen;
}

const text = (value: string) => new PayloadWriter().bytes(Buffer.from(value));
const ended = (exitCode: number, signal = 0) => new PayloadWriter().u8(exitCode).u8(signal);

describe("a process's streams", () => {
  test("greets and asks at once, and tells start, output and exit", async () => {
    const { session, peer } = await opened();
    const seen = record(session);
    peer.welcome();
    peer.send(FRAME.EXITED, 0, new PayloadWriter().str("other").u64(1).u8(0).u8(0).u8(0));
    peer.send(FRAME.STREAM_STARTED, 0, processPayload(5, 6));
    expect(await session.started).toEqual({ pid: 5, startTime: 6 });
    session.writeStdin(Buffer.from("in"));
    session.resize(24, 80);
    session.closeStdin();
    expect((await peer.expect(FRAME.STDIN)).payload.toString()).toBe("in");
    expect((await peer.expect(FRAME.WINDOW)).payload.toString("hex")).toBe("18005000");
    await peer.expect(FRAME.STDIN_CLOSE);
    peer.send(FRAME.STDOUT, 0, text("a"));
    peer.send(FRAME.STDERR, 0, text("b"));
    peer.send(FRAME.STREAM_EXITED, 0, ended(143, 15));
    expect(await session.exited).toEqual({ exitCode: 143, signal: 15 });
    expect(seen).toEqual(["o:a", "e:b"]);
    await peer.ended;
    // Nothing of this may throw any more.
    session.writeStdin(Buffer.from("late"));
    session.close();
  });

  test("output that comes before its handler waits, and so does the exit", async () => {
    const { session, peer } = await opened();
    let isOver = false;
    session.exited.then(() => {
      isOver = true;
    });
    peer.send(FRAME.STDERR, 0, text("1"));
    peer.send(FRAME.STDOUT, 0, text("2"));
    peer.send(FRAME.STDERR, 0, text("3"));
    peer.send(FRAME.STREAM_EXITED, 0, ended(0));
    peer.socket.end();
    await settle();
    session.onStdout = () => expect.unreachable();
    await settle();
    expect(isOver).toBe(false);
    const seen = record(session);
    await session.exited;
    expect(seen).toEqual(["e:1", "o:2", "e:3"]);
  });

  test("pause holds output within one chunk, and resume continues in order", async () => {
    const { session, peer } = await opened();
    const seen: string[] = [];
    session.onStdout = (chunk) => {
      seen.push(String(chunk));
      session.pause();
    };
    for (const digit of "123") peer.send(FRAME.STDOUT, 0, text(digit));
    peer.send(FRAME.STREAM_EXITED, 0, ended(0));
    for (const expected of ["1", "12", "123"]) {
      await expect.poll(() => seen.join("")).toBe(expected);
      await settle();
      expect(seen.join("")).toBe(expected);
      session.resume();
    }
    await session.exited;
  });

  test("a paused session makes the monitor wait", async () => {
    const { session, peer } = await opened();
    record(session);
    session.pause();
    const chunk = Buffer.alloc(64 * 1024);
    for (let count = 0; count < 64; count++) {
      peer.send(FRAME.STDOUT, 0, new PayloadWriter().bytes(chunk));
    }
    await settle();
    expect(peer.socket.writableLength).toBeGreaterThan(1024 * 1024);
    let bytes = 0;
    session.onStdout = (part) => {
      bytes += part.length;
    };
    session.resume();
    peer.send(FRAME.STREAM_EXITED, 0, ended(0));
    await session.exited;
    expect(bytes).toBe(64 * chunk.length);
  });

  test("input is cut into frames of 64 KiB, blocks, and drains", async () => {
    const { session, peer } = await opened();
    await settle();
    expect(session.stdinBlocked).toBe(false);
    peer.socket.pause();
    const input = Buffer.alloc(1_000_000, "0123456789");
    session.writeStdin(input);
    session.writeStdin(input);
    expect(session.stdinBlocked).toBe(true);
    const drained = new Promise<void>((resolve) => {
      session.onDrain = resolve;
    });
    peer.socket.resume();
    await drained;
    expect(session.stdinBlocked).toBe(false);
    const received: Buffer[] = [];
    for (let left = 2 * input.length; left > 0; ) {
      const { payload } = await peer.expect(FRAME.STDIN);
      expect(payload.length).toBeLessThanOrEqual(64 * 1024);
      received.push(payload);
      left -= payload.length;
    }
    expect(Buffer.concat(received).equals(Buffer.concat([input, input]))).toBe(true);
    peer.send(FRAME.STREAM_EXITED, 0, ended(0));
    await session.exited;
  });

  test.each([false, true])("what was sent before a reset is delivered (paused: %s)", async (isPaused) => {
    const { session, peer } = await opened();
    const seen = record(session);
    if (isPaused) session.pause();
    peer.socket.pause();
    await settle();
    session.writeStdin(Buffer.alloc(2_000_000));
    peer.send(FRAME.STDOUT, 0, text("last"));
    peer.send(FRAME.STREAM_EXITED, 0, ended(7));
    // Its input is unread: the kernel resets the connection, and writes fail.
    peer.socket.destroy();
    session.writeStdin(Buffer.alloc(2_000_000));
    await settle();
    session.resume();
    expect(await session.exited).toEqual({ exitCode: 7, signal: 0 });
    expect(seen).toEqual(["o:last"]);
  });
});

describe("input after the process's end", () => {
  test("does not cost the exit that was sent before", async () => {
    const { session, peer } = await opened();
    const seen = record(session);
    await settle();
    peer.send(FRAME.STDOUT, 0, text("last"));
    peer.send(FRAME.STREAM_EXITED, 0, ended(7));
    peer.socket.destroy();
    // In the same turn, before anything was read: the write meets a closed peer.
    session.writeStdin(Buffer.from("more"));
    expect(await session.exited).toEqual({ exitCode: 7, signal: 0 });
    expect(seen).toEqual(["o:last"]);
  });
});

describe("failures", () => {
  test("FAILED rejects both promises with the step", async () => {
    const { session, peer } = await opened();
    peer.send(FRAME.FAILED, 0, failedPayload(9, "ENOENT", "execve", "/bin/x"));
    const error = await session.exited.catch((reason) => reason);
    expect(error).toBeInstanceOf(KernelError);
    expect(error).toMatchObject({ step: "plan:9", errno: "ENOENT", path: "/bin/x" });
    await expect(session.started).rejects.toBe(error);
    await peer.ended;
  });

  test("a monitor that goes away, before or after the connection is made", async () => {
    const { session, peer } = await opened();
    peer.socket.destroy();
    await expect(session.exited).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/^exec: the monitor of pod "(ab){32}" went away/),
    });
    const socketPath = `${scripted.socketPath}x`;
    const first = encodeExec(request);
    const nowhere = new MonitorStream({ kind: "exec", podId, socketPath, first });
    await expect(nowhere.exited).rejects.toThrow(socketPath);
    await expect(nowhere.started).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test.each([
    ["garbage", Buffer.alloc(40, 0xff)],
    ["an answer", new PayloadWriter().frame(FRAME.DONE, 0)],
    ["a truncated exit", new PayloadWriter().frame(FRAME.STREAM_EXITED, 0)],
  ])("%s ends the session", async (_, bytes) => {
    const { session, peer } = await opened();
    peer.socket.write(bytes);
    await expect(session.exited).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("monitor protocol: "),
    });
    await peer.ended;
  });

  test("nobody has to look at the promises", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const { peer } = await opened();
    peer.socket.destroy();
    await peer.closed;
    await settle();
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test("a process that ended before it was started", async () => {
    const { session, peer } = await opened("attach");
    peer.send(FRAME.STREAM_EXITED, 0, ended(137, 9));
    expect(await session.exited).toEqual({ exitCode: 137, signal: 9 });
    await expect(session.started).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });
});

describe("close", () => {
  test("of an exec: the monitor sees the end, and exited tells when the processes are gone", async () => {
    const { session, peer } = await opened();
    const seen = record(session);
    session.pause();
    peer.send(FRAME.STREAM_STARTED, 0, processPayload(5, 6));
    peer.send(FRAME.STDOUT, 0, text("kept back"));
    await settle();
    let isOver = false;
    session.exited.then(() => {
      isOver = true;
    });
    session.close();
    session.close();
    await peer.ended;
    session.writeStdin(Buffer.from("late"));
    peer.send(FRAME.STDOUT, 0, text("dropped"));
    await settle();
    expect(isOver).toBe(false);
    peer.send(FRAME.STREAM_EXITED, 0, ended(137, 9));
    peer.socket.end();
    expect(await session.exited).toEqual({ exitCode: 137, signal: 9 });
    expect(seen).toEqual([]);
    await peer.closed;
  });

  test("of an exec whose output nobody ever took", async () => {
    const { session, peer } = await opened();
    peer.send(FRAME.STDOUT, 0, text("unread"));
    await settle();
    session.close();
    await peer.ended;
    peer.send(FRAME.STREAM_EXITED, 0, ended(137, 9));
    expect(await session.exited).toEqual({ exitCode: 137, signal: 9 });
  });

  test("of an exec whose monitor does not answer", async () => {
    const { session, peer } = await opened("exec", 20);
    await settle();
    session.close();
    await expect(session.exited).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(session.started).rejects.toMatchObject({ code: "UNAVAILABLE" });
    peer.socket.end();
    await peer.closed;
  });

  test("of an exec with untaken input, or not asked for yet, drops the connection at once", async () => {
    const { session, peer } = await opened();
    peer.socket.pause();
    session.writeStdin(Buffer.alloc(2_000_000));
    session.close();
    await expect(session.exited).rejects.toMatchObject({ code: "CANCELLED" });
    peer.socket.resume();
    await peer.ended;
    const early = open();
    early.close();
    await expect(early.exited).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test("of an attach detaches, after the input that was written", async () => {
    const { session, peer } = await opened("attach");
    peer.send(FRAME.STREAM_STARTED, 0, processPayload(5, 6));
    await session.started;
    peer.socket.pause();
    session.writeStdin(Buffer.alloc(2_000_000));
    session.close();
    await expect(session.exited).rejects.toMatchObject({ code: "CANCELLED", message: "detached" });
    peer.socket.resume();
    let bytes = 0;
    while (bytes < 2_000_000) bytes += (await peer.expect(FRAME.STDIN)).payload.length;
    await peer.ended;
    peer.socket.end();
    await peer.closed;
  });

  test("of an attach whose monitor takes nothing", async () => {
    const { session, peer } = await opened("attach", 20);
    peer.socket.pause();
    session.writeStdin(Buffer.alloc(2_000_000));
    session.close();
    await expect(session.exited).rejects.toMatchObject({ code: "CANCELLED" });
    await new Promise((resolve) => setTimeout(resolve, 40));
    peer.socket.resume();
    await peer.ended;
  });
});
