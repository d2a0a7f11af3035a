import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readExitRecord } from "../../../src/monitor/exit-record.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync("/tmp/berth-exit-");
});
afterEach(() => rmSync(directory, { recursive: true }));

test("there is none", async () => {
  expect(await readExitRecord(directory, "a")).toBeNull();
  expect(await readExitRecord(join(directory, "nowhere"), "a")).toBeNull();
});

test.each(["1 1700000001000000 137 9 1\n", "1 1700000001000000 137 9 1"])("reads %j", async (text) => {
  writeFileSync(join(directory, "exit-a"), text);
  expect(await readExitRecord(directory, "a")).toEqual({
    finishedAt: 1_700_000_001_000_000,
    exitCode: 137,
    signal: 9,
    oomKilled: true,
  });
});

test.each([
  "",
  "\n",
  "1 1700000001000000 137 9",
  "2 1700000001000000 137 9 1\n",
  "1 1700000001000000 256 9 1\n",
  "1 1700000001000000 0 65 1\n",
  "1 1700000001000000 0 0 2\n",
  "1 -5 0 0 0\n",
  "1 9999999999999999 0 0 0\n",
  "1 17 0 0 0\n\n",
  " 1 17 0 0 0\n",
  "1 17 00 0 0\n",
  "1  17 0 0 0\n",
  `1 17 0 0 0\n${"\0".repeat(4096)}`,
  "\0".repeat(30),
])("%j is damaged", async (text) => {
  writeFileSync(join(directory, "exit-a"), text);
  await expect(readExitRecord(directory, "a")).rejects.toMatchObject({
    code: "DATA_LOSS",
    message: expect.stringContaining(`exit record "${join(directory, "exit-a")}" is damaged`),
  });
});

test("what cannot be read is named", async () => {
  mkdirSync(join(directory, "exit-a"));
  await expect(readExitRecord(directory, "a")).rejects.toThrow(join(directory, "exit-a"));
});
