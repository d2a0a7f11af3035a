// The file that keeps a layer's compressed stream: a download goes on where the last one stopped.

import { createHash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { begin, inPrivateMounts, LIMITS, unpack, useScratch } from "./fixture.ts";
import { makeTar } from "./tar-builder.ts";

const scratch = useScratch();
const digest = (data: Uint8Array) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

const noise = randomBytes(400_000);
const tar = makeTar([
  { path: "a", data: noise },
  { path: "d/b", data: noise.subarray(7) },
  { path: "c", data: "x" },
]);

test.each([
  ["gzip", gzipSync(tar)],
  ["zstd", zstdCompressSync(tar)],
  ["plain", tar],
])("%s: a stream goes on where the file ends", async (_name, blob) => {
  const blobFile = join(scratch.fresh("blob"), "blob");
  for (const stop of [0, 3, 100_000, blob.length - 1]) {
    const layer = begin(scratch.fresh(), LIMITS, { blobFile });
    const from = await layer.resumeAt();
    expect(from).toBe(existsSync(blobFile) ? statSync(blobFile).size : 0);
    await layer.write(blob.subarray(from, stop));
    await layer.abort();
    // What was taken but not yet written when the unpacking stopped is lost; what is there is right.
    const kept = readFileSync(blobFile);
    expect(kept.equals(blob.subarray(0, kept.length))).toBe(true);
    writeFileSync(blobFile, blob.subarray(0, stop));
  }
  const root = scratch.fresh();
  const result = await unpack(root, blob, { files: { blobFile } });
  expect(result).toMatchObject({ blobDigest: digest(blob), diffId: digest(tar), blobBytes: blob.length });
  expect(readFileSync(blobFile).equals(blob)).toBe(true);
  expect(readFileSync(join(root, "a")).equals(noise)).toBe(true);
  // Whole now: nothing needs to be written.
  const again = begin(scratch.fresh(), LIMITS, { blobFile });
  expect(await again.resumeAt()).toBe(blob.length);
  expect((await again.finish()).blobDigest).toBe(digest(blob));
  expect(statSync(blobFile).mode & 0o777).toBe(0o600);
});

test("a whole file needs no resumeAt", async () => {
  const blobFile = join(scratch.fresh("blob"), "blob");
  writeFileSync(blobFile, gzipSync(tar));
  const layer = begin(scratch.fresh(), LIMITS, { blobFile });
  expect((await layer.finish()).diffId).toBe(digest(tar));
});

test("a torn end is found out: as damage, or by the digest", async () => {
  const blobFile = join(scratch.fresh("blob"), "blob");
  const blob = gzipSync(tar);
  writeFileSync(blobFile, blob.subarray(0, 50_000));
  truncateSync(blobFile, 60_000);
  await expect(unpack(scratch.fresh(), blob, { files: { blobFile } })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
  });
  const plain = join(scratch.fresh("blob"), "blob");
  writeFileSync(plain, tar.subarray(0, 50_000));
  truncateSync(plain, 60_000);
  const result = await unpack(scratch.fresh(), tar, { files: { blobFile: plain } });
  expect(result.blobDigest).not.toBe(digest(tar));
});

test("two unpackings never share a file, one after the other may", async () => {
  const blobFile = join(scratch.fresh("blob"), "blob");
  const first = begin(scratch.fresh(), LIMITS, { blobFile });
  await first.resumeAt();
  const second = begin(scratch.fresh(), LIMITS, { blobFile });
  await expect(second.resumeAt()).rejects.toMatchObject({ step: "lock blob file", errno: "EAGAIN" });
  await second.abort();
  await first.abort();
  const third = begin(scratch.fresh(), LIMITS, { blobFile });
  expect(await third.resumeAt()).toBe(0);
  await third.abort();
});

test("only a regular file is taken, and a link is not followed", async () => {
  const folder = scratch.fresh("blob");
  const target = join(folder, "target");
  symlinkSync(target, join(folder, "link"));
  mkdirSync(join(folder, "directory"));
  for (const [name, errno] of [
    ["link", "ELOOP"],
    ["directory", "EISDIR"],
    ["not/there", "ENOENT"],
  ] as const) {
    const blobFile = join(folder, name);
    const layer = begin(scratch.fresh(), LIMITS, { blobFile });
    await expect(layer.resumeAt()).rejects.toMatchObject({ step: "open blob file", errno, path: blobFile });
    await expect(layer.finish()).rejects.toMatchObject({ step: "open blob file" });
  }
  expect(existsSync(target)).toBe(false);
});

test("a write before the file was replayed is refused", async () => {
  const blobFile = join(scratch.fresh("blob"), "blob");
  writeFileSync(blobFile, Buffer.alloc(64 << 20));
  const layer = begin(scratch.fresh(), LIMITS, { blobFile });
  await expect(layer.write(tar)).rejects.toThrow(/before the blob file was replayed/);
  await layer.abort();
  await expect(layer.resumeAt()).rejects.toMatchObject({ code: "CANCELLED" });
});

test("a full disk says which file", () => {
  const script = `
    mount -t tmpfs -o size=1m none "$1"
    exec "$2" --input-type=module -e '
      const { kernel, LIMITS } = await import(process.argv[1]);
      const [, , mount, layerDirectory] = process.argv;
      const layer = kernel.unpackLayer(layerDirectory, LIMITS, { blobFile: mount + "/blob" });
      await layer.resumeAt();
      const piece = Buffer.alloc(65536);
      try {
        for (let at = 0; at < 1000; at++) await layer.write(piece);
        await layer.finish();
      } catch (error) {
        console.log(JSON.stringify([error.step, error.errno, error.path]));
      }
    ' "$3" "$1" "$4"`;
  const mount = scratch.fresh("mount");
  const fixture = join(import.meta.dirname, "kernel-only.ts");
  const printed = inPrivateMounts(script, mount, process.execPath, fixture, scratch.fresh());
  expect(JSON.parse(printed)).toEqual(["write blob file", "ENOSPC", join(mount, "blob")]);
});

test("what is appended is what was written, whatever the pieces", async () => {
  const blobFile = join(scratch.fresh("blob"), "blob");
  const blob = gzipSync(tar);
  appendFileSync(blobFile, blob.subarray(0, 12_345));
  await unpack(scratch.fresh(), blob, { files: { blobFile }, chunk: 777 });
  expect(readFileSync(blobFile).equals(blob)).toBe(true);
});
