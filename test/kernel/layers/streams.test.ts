// The way of the bytes: compressions, pieces of any size, digests, several layers at once, and stopping.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { BerthError } from "../../../src/lib/errors.ts";
import { begin, describeTree, unpack, useScratch } from "./fixture.ts";
import { makeTar } from "./tar-builder.ts";

const scratch = useScratch();

const digest = (data: Uint8Array) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

/** Bytes that compress neither well nor not at all, the same every time. */
function noise(size: number, seed: number): Buffer {
  const data = Buffer.alloc(size);
  let state = seed;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[at] = state >>> 28;
  }
  return data;
}

const files = Array.from({ length: 40 }, (_, at) => ({
  path: `d${at % 4}/f${at}`,
  data: noise(at * 3001, at + 1),
}));
const tar = makeTar(files);

function members(compress: (part: Buffer) => Buffer): Buffer {
  const cuts = [0, 1, 700, 701, 65_536, tar.length >> 1, tar.length];
  return Buffer.concat(cuts.slice(1).map((end, at) => compress(tar.subarray(cuts[at], end))));
}

const skippable = Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]), Buffer.from("abc")]);
const named = gzipSync(tar);
named[3] = 8; // FNAME: a name follows the fixed part of the header

const blobs: [string, Buffer][] = [
  ["plain", tar],
  ["gzip", gzipSync(tar)],
  ["gzip stored", gzipSync(tar, { level: 0 })],
  ["gzip level 9", gzipSync(tar, { level: 9 })],
  [
    "gzip with a name",
    Buffer.concat([named.subarray(0, 10), Buffer.from("layer.tar\0"), named.subarray(10)]),
  ],
  ["gzip of several members", members((part) => gzipSync(part))],
  ["gzip of many empty members", Buffer.concat([gzipSync(tar), ...Array<Buffer>(50).fill(gzipSync(""))])],
  ["gzip with zero padding", Buffer.concat([gzipSync(tar), Buffer.alloc(1000)])],
  ["zstd", zstdCompressSync(tar)],
  ["zstd level 19", zstdCompressSync(tar, { params: { [constants.ZSTD_c_compressionLevel]: 19 } })],
  [
    "zstd of several frames",
    Buffer.concat([skippable, members((part) => zstdCompressSync(part)), skippable]),
  ],
  ["zstd with zero padding", Buffer.concat([zstdCompressSync(tar), Buffer.alloc(1000)])],
];

test.each(blobs)("%s: digests, sizes and files are right", async (_name, blob) => {
  const root = scratch.fresh();
  const result = await unpack(root, blob, { chunk: 10_007 });
  expect(result).toEqual({
    blobDigest: digest(blob),
    diffId: digest(tar),
    blobBytes: blob.length,
    unpackedBytes: tar.length,
    entries: files.length,
    lost: "",
  });
  for (const { path, data } of files) expect(readFileSync(join(root, path)).equals(data)).toBe(true);
});

test.each([1, 7, 511, 4096, 65_536, 1 << 20, 16 << 20])("pieces of %i bytes", async (chunk) => {
  const size = chunk < 16 ? 8 : 40;
  const part = makeTar(files.slice(0, size));
  const several = Buffer.concat([gzipSync(part.subarray(0, 5000)), gzipSync(part.subarray(5000))]);
  const frames = Buffer.concat([
    zstdCompressSync(part.subarray(0, 5000)),
    zstdCompressSync(part.subarray(5000)),
  ]);
  for (const blob of [part, several, frames]) {
    const result = await unpack(scratch.fresh(), blob, { chunk });
    expect([result.blobDigest, result.diffId]).toEqual([digest(blob), digest(part)]);
    expect(result.entries).toBe(size);
  }
});

test("what follows the archive's end is hashed and not unpacked", async () => {
  const whole = Buffer.concat([tar, Buffer.alloc(3_000_000), makeTar([{ path: "more", data: "x" }])]);
  const root = scratch.fresh();
  const result = await unpack(root, gzipSync(whole));
  expect([result.diffId, result.unpackedBytes]).toEqual([digest(whole), whole.length]);
  expect(readdirSync(root).sort()).toEqual(["d0", "d1", "d2", "d3"]);
});

test("an archive without its end blocks, and an empty one", async () => {
  const root = scratch.fresh();
  const cut = tar.subarray(0, tar.length - 1024);
  expect((await unpack(root, cut)).diffId).toBe(digest(cut));
  expect((await unpack(scratch.fresh(), gzipSync(Buffer.alloc(1024)))).entries).toBe(0);
  expect((await unpack(scratch.fresh(), Buffer.alloc(0))).diffId).toBe(digest(Buffer.alloc(0)));
});

test("a piece may be changed once write has resolved", async () => {
  const root = scratch.fresh();
  const layer = begin(root);
  const piece = Buffer.alloc(1000);
  for (let at = 0; at < tar.length; at += piece.length) {
    const size = tar.copy(piece, 0, at, at + piece.length);
    await layer.write(piece.subarray(0, size));
    piece.fill(0xee);
  }
  expect((await layer.finish()).diffId).toBe(digest(tar));
});

test("several layers at once do not disturb each other", async () => {
  const roots = [
    scratch.fresh(),
    scratch.fresh(),
    scratch.fresh(),
    scratch.fresh(),
    scratch.fresh(),
    scratch.fresh(),
  ];
  const results = await Promise.all(
    roots.map((root, at) =>
      unpack(root, at % 2 === 0 ? gzipSync(tar) : zstdCompressSync(tar), { chunk: 3000 + at }),
    ),
  );
  for (const result of results) expect(result.diffId).toBe(digest(tar));
  const [first, ...others] = roots.map(describeTree);
  for (const other of others)
    expect(other.replace(/ \d+\.\d+$/gm, "")).toBe(first?.replace(/ \d+\.\d+$/gm, ""));
});

test("abort in the middle ends everything, twice as well, and says so to the writer", async () => {
  const layer = begin(scratch.fresh());
  await layer.write(tar.subarray(0, 100_000));
  await layer.abort();
  await layer.abort();
  await expect(layer.write(tar.subarray(100_000))).rejects.toMatchObject({
    code: "CANCELLED",
    errno: "ECANCELED",
  });
  await expect(layer.finish()).rejects.toMatchObject({ code: "CANCELLED" });
});

test("abort wakes a writer that waits and a finish under way", async () => {
  const big = gzipSync(Buffer.alloc(200 << 20));
  const layer = begin(scratch.fresh());
  const noisy = noise(8 << 20, 9);
  const writing = layer.write(noisy)?.catch((error: unknown) => error);
  await layer.abort();
  expect(await writing).toBeInstanceOf(BerthError);
  const other = begin(scratch.fresh());
  await other.write(big);
  const finishing = other.finish().catch((error: unknown) => error);
  await other.abort();
  await finishing;
});

test("a write after finish is refused", async () => {
  const layer = begin(scratch.fresh(), { maxUnpackedBytes: Infinity, maxEntries: Infinity });
  await layer.write(tar);
  const first = await layer.finish();
  await expect(layer.write(tar)).rejects.toMatchObject({ step: "write after finish" });
  expect(await layer.finish()).toEqual(first);
});

test("after an error write and finish both report it", async () => {
  const layer = begin(scratch.fresh());
  const bad = makeTar([{ path: "../x", data: "x" }]);
  await layer.write(bad);
  const error = await layer.finish().catch((reason: unknown) => reason);
  expect((error as BerthError).message).toMatch(/escapes the layer/);
  await expect(layer.write(bad)).rejects.toThrow(/escapes the layer/);
  await layer.abort();
  await expect(layer.finish()).rejects.toThrow(/escapes the layer/);
});

test("layers that nobody finishes leave no thread behind", async () => {
  const threads = () => readdirSync("/proc/self/task").length;
  const before = threads();
  for (let at = 0; at < 20; at++) {
    const layer = begin(scratch.fresh());
    await layer.write(tar.subarray(0, 5000));
    await layer.abort();
  }
  // abort() resolves when the threads have left their work; the kernel reaps them a moment later.
  while (threads() > before) await new Promise((resolve) => setTimeout(resolve, 5));
});
