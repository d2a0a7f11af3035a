import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nanosOf, parseLogLine } from "../../../src/engine/log-line.ts";
import { type ReadLogsOptions, readLogs } from "../../../src/engine/read-logs.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync("/tmp/berth-logs-");
  path = join(directory, "0.log");
});
afterEach(() => rmSync(directory, { recursive: true }));

const time = (second: number) => `2026-01-02T03:04:${String(second).padStart(2, "0")}.123456789Z`;
const line = (text: string, { stream = "stdout", tag = "F", second = 0 } = {}) =>
  `${time(second)} ${stream} ${tag} ${text}\n`;

interface Seen {
  texts: string[];
  garbage: number;
}

async function collect(options: Partial<ReadLogsOptions> = {}, onBatch = () => {}): Promise<Seen> {
  const signal = new AbortController().signal;
  const reader = readLogs(path, {
    follow: false,
    ended: () => true,
    wait: async () => {},
    signal,
    ...options,
  });
  const texts: string[] = [];
  for (;;) {
    const step = await reader.next();
    if (step.done) return { texts, garbage: step.value };
    texts.push(...step.value.map(({ stderr, content }) => (stderr ? "E:" : "") + content.toString()));
    onBatch();
  }
}

describe("log lines", () => {
  it("parses the format and nothing else", () => {
    const parsed = parseLogLine(Buffer.from(line("a b ").trimEnd()));
    expect(parsed).toMatchObject({ time: time(0), stderr: false, partial: false });
    expect(parsed?.content.toString()).toBe("a b");
    expect(parseLogLine(Buffer.from(`${time(0)} stderr P:x y`))).toMatchObject({
      stderr: true,
      partial: true,
    });
    expect(parseLogLine(Buffer.from(`${time(0)} stdout F`))?.content.length).toBe(0);
    for (const wrong of [
      "",
      "x",
      "a b c d",
      `${time(0)} stdin F x`,
      `${time(0)} stdout X x`,
      "now stdout F x",
    ]) {
      expect(parseLogLine(Buffer.from(wrong))).toBeNull();
    }
  });
  it("reads times to the nanosecond, with zones", () => {
    expect(nanosOf("1970-01-01T00:00:00.000000001Z")).toBe(1n);
    expect(nanosOf("1970-01-01T01:00:00.5+01:00")).toBe(500_000_000n);
    expect(nanosOf("1970-01-01T00:00:00Z")).toBe(0n);
    expect(nanosOf("yesterday")).toBeNull();
  });
});

describe("readLogs", () => {
  it("joins parts of each stream by itself", async () => {
    writeFileSync(
      path,
      line("one") +
        line("two-", { tag: "P" }) +
        line("err-", { tag: "P", stream: "stderr" }) +
        line("two", {}) +
        line("err", { stream: "stderr" }) +
        line("open", { tag: "P" }),
    );
    expect(await collect()).toEqual({ texts: ["one\n", "two-two\n", "E:err-err\n", "open"], garbage: 0 });
  });

  it("leaves garbage out and counts it, and an unfinished line waits", async () => {
    writeFileSync(path, `rubbish\n${line("a")}\n\x00\xff\n${line("b")}${line("c").slice(0, -5)}`);
    expect(await collect()).toEqual({ texts: ["a\n", "b\n"], garbage: 3 });
  });

  it("chooses by time", async () => {
    writeFileSync(path, [1, 2, 3].map((second) => line(String(second), { second })).join(""));
    expect((await collect({ sinceNs: nanosOf(time(2)) as bigint })).texts).toEqual(["2\n", "3\n"]);
  });

  it("shows the last lines, parts counting once", async () => {
    const long = "x".repeat(90_000);
    writeFileSync(
      path,
      line("1") + line("a", { tag: "P" }) + line(long) + line("3") + line("4").slice(0, -1),
    );
    const tail = async (count: number) =>
      (await collect({ tail: count })).texts.map((text) => text.slice(0, 5));
    expect(await tail(0)).toEqual([]);
    expect(await tail(1)).toEqual(["3\n"]);
    expect(await tail(2)).toEqual(["axxxx", "3\n"]);
    expect(await tail(3)).toEqual(["1\n", "axxxx", "3\n"]);
    expect(await tail(9)).toEqual(["1\n", "axxxx", "3\n"]);
  });

  it("finds the tail in a file of many blocks", async () => {
    writeFileSync(path, Array.from({ length: 20_000 }, (_, index) => line(`line ${index}`)).join(""));
    for (const count of [1, 999, 5000]) {
      const { texts } = await collect({ tail: count });
      expect(texts.length).toBe(count);
      expect(texts[0]).toBe(`line ${20_000 - count}\n`);
    }
  });

  it("follows growth and rotation until the end", async () => {
    writeFileSync(path, line("1"));
    const steps = [
      () => appendFileSync(path, line("2").slice(0, 20)),
      () => appendFileSync(path, line("2").slice(20)),
      () => {
        renameSync(path, `${path}.old`);
        appendFileSync(`${path}.old`, line("3"));
      },
      () => writeFileSync(path, line("4")),
      () => appendFileSync(path, line("5")),
    ];
    const { texts } = await collect({
      follow: true,
      ended: () => steps.length === 0,
      wait: async () => steps.shift()?.(),
    });
    expect(texts).toEqual(["1\n", "2\n", "3\n", "4\n", "5\n"]);
  });

  it("starts again when the file was cut off in place", async () => {
    writeFileSync(path, line("old") + line("older"));
    const steps = [() => truncateSync(path, 0), () => appendFileSync(path, line("new"))];
    const wait = async () => steps.shift()?.();
    const { texts } = await collect({ follow: true, ended: () => steps.length === 0, wait });
    expect(texts).toEqual(["old\n", "older\n", "new\n"]);
  });

  it("stops when its reader goes away", async () => {
    writeFileSync(path, line("1"));
    const controller = new AbortController();
    const { texts } = await collect({
      follow: true,
      ended: () => false,
      wait: async () => controller.abort(),
      signal: controller.signal,
    });
    expect(texts).toEqual(["1\n"]);
  });

  it("passes endless lines on in parts", async () => {
    writeFileSync(path, Array.from({ length: 40 }, () => line("y".repeat(16_000), { tag: "P" })).join(""));
    const { texts } = await collect();
    expect(texts.length).toBeGreaterThan(1);
    expect(texts.join("").length).toBe(40 * 16_000);
  });

  it("refuses what is no file", async () => {
    await expect(collect()).rejects.toMatchObject({ code: "NOT_FOUND" });
    await mkdir(path);
    await expect(collect()).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });
});
