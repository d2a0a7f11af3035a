// Blobs that are no archives: each becomes a file with its very bytes, and is a layer like any other.

import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import type { FramedFile } from "../../../src/kernel/kernel.ts";
import { kernel, LIMITS, useScratch } from "./fixture.ts";
import { makeTar } from "./tar-builder.ts";

const scratch = useScratch();

const digest = (data: Uint8Array) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

function bytes(size: number): Buffer {
  const data = Buffer.alloc(size);
  for (let at = 0; at < size; at++) data[at] = (Math.imul(at, 2_654_435_761) >>> 13) & 0xff;
  return data;
}

async function keep(blob: Uint8Array, file: Partial<FramedFile> = {}, options: { blobFile?: string } = {}) {
  const root = scratch.fresh();
  const record = `${root}.record`;
  const framed = { name: "file", size: blob.length, mtime: 1_700_000_000, ...file };
  const layer = kernel.unpackLayer(root, LIMITS, { recordFile: record, ...options }, framed);
  try {
    for (let at = await layer.resumeAt(); at < blob.length; at += 100_003) {
      await layer.write(blob.subarray(at, at + 100_003));
    }
    return { root, record, result: await layer.finish(), path: join(root, framed.name) };
  } finally {
    await layer.abort();
  }
}

test.each([0, 1, 511, 512, 513, 5 << 20])("%i bytes become a file, and are verified", async (size) => {
  const blob = bytes(size);
  const { root, record, result, path } = await keep(blob);
  expect(readFileSync(path).equals(blob)).toBe(true);
  const { mode, uid, gid, mtimeMs } = lstatSync(path);
  expect([mode, uid, gid, mtimeMs]).toEqual([0o100644, 0, 0, 1_700_000_000_000]);
  expect(result).toMatchObject({ blobDigest: digest(blob), blobBytes: size, entries: 1, lost: "" });
  expect(await kernel.verifyLayer(root, record)).toMatchObject({ diffId: result.diffId, damaged: [] });
  const tar: Uint8Array[] = [];
  for await (const piece of kernel.recreateLayer(root, record)) tar.push(piece);
  const whole = Buffer.concat(tar);
  expect([digest(whole), whole.length]).toEqual([result.diffId, result.unpackedBytes]);
  expect(whole.subarray(512, 512 + size).equals(blob)).toBe(true);
});

test.each([
  ["gzip", gzipSync("text")],
  ["a tar", makeTar([{ path: "../escape", data: "x" }])],
  ["zstd's magic", Buffer.from("28b52ffd00", "hex")],
])("what looks like %s is neither inflated nor unpacked", async (_, blob) => {
  const { root, path } = await keep(blob);
  expect(readdirSync(root)).toEqual(["file"]);
  expect(readFileSync(path).equals(blob)).toBe(true);
});

const long = `${"directory/".repeat(30)}${"n".repeat(255)}`;
test.each([["a/b/c"], ["späß 模型.bin"], [long], [" "], ["-rf"], ["x".repeat(101)]])(
  "the name %j, with its directories",
  async (name) => {
    const { root, record, result, path } = await keep(Buffer.from("content"), { name });
    expect(readFileSync(path, "utf8")).toBe("content");
    expect((await kernel.verifyLayer(root, record)).damaged).toEqual([]);
    expect((await kernel.verifyLayer(root, record)).diffId).toBe(result.diffId);
    if (!name.includes("/")) return;
    const above = lstatSync(join(path, ".."));
    expect([above.mode, above.uid, above.mtimeMs]).toEqual([0o40755, 0, 0]);
  },
);

test.each([
  ["more", 10, 9, "longer than its declared size"],
  ["more than nothing", 1, 0, "longer than its declared size"],
  ["fewer", 10, 11, "shorter than its declared size"],
  ["far more", 3 << 20, 1, "longer than its declared size"],
])("%s bytes than declared are refused", async (_, sent, declared, message) => {
  await expect(keep(bytes(sent), { size: declared })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringContaining(message),
  });
});

test("a size that only PAX can say is believed, and its end missed", async () => {
  const layer = kernel.unpackLayer(
    scratch.fresh(),
    { ...LIMITS, maxUnpackedBytes: Infinity },
    {},
    { name: "huge", size: 2 ** 33 + 1, mtime: 0 },
  );
  await layer.write(bytes(1 << 20));
  await expect(layer.finish()).rejects.toThrow("shorter than its declared size");
});

describe("with a blob file", () => {
  const elsewhere = mkdtempSync("/dev/shm/berth-files-");
  afterAll(() => rmSync(elsewhere, { recursive: true }));

  test.each([
    ["nothing of it there", 0, "f", false],
    ["some of it there", 1_234_567, "a/b/f", false],
    ["all of it there", 3 << 20, "d/f", false],
    ["on another file system", 1_234_567, "d/f", true],
  ])("%s: the layer's file is the blob's", async (_, there, name, isFar) => {
    const blob = bytes(3 << 20);
    const blobFile = join(isFar ? elsewhere : scratch.path, `partial-${there}`);
    writeFileSync(blobFile, blob.subarray(0, there), { mode: 0o600 });
    const { root, record, path, result } = await keep(blob, { name }, { blobFile });
    expect(result.blobDigest).toBe(digest(blob));
    expect(readFileSync(path).equals(blob)).toBe(true);
    expect(readFileSync(blobFile).equals(blob)).toBe(true);
    const { ino, mode, uid, mtimeMs } = lstatSync(path);
    expect([mode, uid, mtimeMs]).toEqual([0o100644, 0, 1_700_000_000_000]);
    expect(lstatSync(blobFile).ino === ino).toBe(!isFar);
    if (name.includes("/")) expect(lstatSync(join(path, "..")).mtimeMs).toBe(0);
    expect(await kernel.verifyLayer(root, record)).toMatchObject({ diffId: result.diffId, damaged: [] });
    // The part's own name goes when the layer is recorded; the file stays.
    rmSync(blobFile);
    expect(readFileSync(path).equals(blob)).toBe(true);
  });

  test("a blob file that another layer has already is copied", async () => {
    const blob = bytes(3 << 20);
    const blobFile = join(scratch.path, "shared");
    const first = await keep(blob, { mtime: 1 }, { blobFile });
    const second = await keep(blob, { mtime: 2 }, { blobFile });
    expect(lstatSync(second.path).ino).not.toBe(lstatSync(first.path).ino);
    expect(readFileSync(second.path).equals(blob)).toBe(true);
    expect([first, second].map(({ path }) => lstatSync(path).mtimeMs)).toEqual([1000, 2000]);
    for (const { root, record } of [first, second]) {
      expect((await kernel.verifyLayer(root, record)).damaged).toEqual([]);
    }
  });

  test("what is not all there is not in the layer", async () => {
    const blobFile = join(scratch.path, "cut");
    await expect(keep(bytes(2 << 20), { size: 3 << 20 }, { blobFile })).rejects.toThrow("shorter");
    expect(lstatSync(blobFile).nlink).toBe(1);
  });
});

test("a changed byte, a changed size and a stranger are found", async () => {
  const { root, record, path } = await keep(bytes(5000), { name: "d/model" });
  const changed = readFileSync(path);
  changed[4000] = (changed[4000] ?? 0) ^ 1;
  writeFileSync(path, changed);
  expect((await kernel.checkLayer(root, record)).damaged).toEqual([]);
  expect((await kernel.verifyLayer(root, record)).damaged).toMatchObject([{ path: "d/model" }]);
  truncateSync(path, 10);
  expect((await kernel.checkLayer(root, record)).damaged).toEqual([
    { path: "d/model", what: "has 10 bytes instead of 5000" },
  ]);
  mkdirSync(join(root, "stranger"));
  expect((await kernel.checkLayer(root, record)).damaged).toHaveLength(2);
});
