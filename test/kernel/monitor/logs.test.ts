// Logs in the CRI's format: every byte of output, in well-formed records, before the exit is told.

import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { collect, usePods } from "./pod.ts";

const startPod = usePods();
const RECORD = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([PF]) (.*)$/s;

interface Entry {
  readonly stream: string;
  readonly isFull: boolean;
  readonly text: string;
}

function readLog(path: string): Entry[] {
  const lines = readFileSync(path, "latin1").split("\n");
  expect(lines.pop(), "the last record ends with a newline").toBe("");
  return lines.map((line) => {
    const [, stream = "", tag, text = ""] = RECORD.exec(line) ?? [];
    if (tag === undefined) throw new Error(`malformed record ${JSON.stringify(line.slice(0, 200))}`);
    return { stream, isFull: tag === "F", text };
  });
}

function outputOf(entries: readonly Entry[], stream = "stdout"): string {
  return entries
    .filter((entry) => entry.stream === stream)
    .map((entry) => entry.text + (entry.isFull ? "\n" : ""))
    .join("");
}

test("two streams, each with its lines in order", async () => {
  const pod = await startPod();
  const container = await pod.start(["both", "100"], { log: "c.log" });
  await pod.exitOf(container.id);
  const entries = readLog(container.log);
  const lines = (word: string) => Array.from({ length: 100 }, (_, index) => `${word} ${index}\n`).join("");
  expect(outputOf(entries, "stdout")).toBe(lines("out"));
  expect(outputOf(entries, "stderr")).toBe(lines("err"));
});

test("a program that ends at once has its whole output in the log, a hundred times", async () => {
  const pod = await startPod();
  for (let round = 0; round < 100; round++) {
    const container = await pod.start(["both", "3"], { log: `${round}.log` });
    await pod.exitOf(container.id);
    const entries = readLog(container.log);
    expect(outputOf(entries, "stdout"), `round ${round}`).toBe("out 0\nout 1\nout 2\n");
    expect(outputOf(entries, "stderr"), `round ${round}`).toBe("err 0\nerr 1\nerr 2\n");
    await pod.monitor.forget(container.id);
  }
});

describe("long lines", () => {
  const LONGEST = 16 * 1024;

  test.each([LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST + 5])("of %i bytes", async (length) => {
    const pod = await startPod();
    const container = await pod.start(["cat-stdin"], {
      log: "c.log",
      container: { stdin: true, stdinOnce: true },
    });
    const session = pod.monitor.attach(container.id, { stdin: true });
    const outcome = collect(session);
    const line = "x".repeat(length);
    session.writeStdin(Buffer.from(`${line}\nnext\nunfinished`));
    session.closeStdin();
    await outcome;
    const entries = readLog(container.log);
    expect(Math.max(...entries.map((entry) => entry.text.length))).toBeLessThanOrEqual(LONGEST);
    expect(outputOf(entries)).toBe(`${line}\nnext\nunfinished\n`);
    if (length > LONGEST) expect(entries[0]).toMatchObject({ isFull: false, text: "x".repeat(LONGEST) });
  });
});

test("50 MB are complete, and every record is well-formed", async () => {
  const pod = await startPod();
  const bytes = 50 * 1024 * 1024;
  const container = await pod.start(["spew", String(bytes)], { log: "c.log" });
  expect(await pod.exitOf(container.id)).toMatchObject({ exitCode: 0 });
  const entries = readLog(container.log);
  expect(entries).toHaveLength(bytes / 64);
  entries.forEach((entry, index) => {
    if (!entry.isFull || entry.text.length !== 63 || Number(entry.text.slice(0, 12)) !== index) {
      throw new Error(`record ${index}: ${JSON.stringify(entry)}`);
    }
  });
});

test("after a rotation the log goes on in a new file", async () => {
  const pod = await startPod();
  const container = await pod.start(["cat-stdin"], { log: "c.log", container: { stdin: true } });
  const session = pod.monitor.attach(container.id, { stdin: true });
  const echoed = async (text: string) => {
    const seen = new Promise<void>((resolve) => {
      session.onStdout = () => resolve();
    });
    session.writeStdin(Buffer.from(text));
    await seen;
  };
  session.onStderr = () => {};
  await echoed("before\nhalf ");
  renameSync(container.log, join(pod.logs, "c.log.1"));
  await pod.monitor.reopenLog(container.id);
  await echoed("a line\nafter\n");
  expect(outputOf(readLog(join(pod.logs, "c.log.1")))).toBe("before\n");
  expect(outputOf(readLog(container.log))).toBe("half a line\nafter\n");
  session.close();
});

test("a log that cannot be opened is told", async () => {
  const pod = await startPod();
  const prepared = pod.prepare(["exit", "0"], { log: "missing/c.log" });
  await expect(prepared).rejects.toMatchObject({ step: "open log", errno: "ENOENT" });
});
