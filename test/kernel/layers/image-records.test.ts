// Records of layers that are EROFS images: the very same tar again, and what is damaged. What the kernel sees
// of such a layer cannot be changed, only the bytes of its file.

import { closeSync, openSync, readFileSync, readSync, statSync, truncateSync, writeSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { kernel, recreate, unpack, useImages, useScratch } from "./fixture.ts";
import { makeTar, type TarEntrySpec } from "./tar-builder.ts";

useImages();

const scratch = useScratch();

async function unpacked(tar: Buffer) {
  const root = scratch.fresh();
  const record = `${root}.record`;
  const result = await unpack(root, gzipSync(tar), { files: { recordFile: record } });
  return { image: `${root}.image`, record, result };
}

const CAPABILITY = Buffer.from(`0100000300200000${"00".repeat(12)}a0860100`, "hex");
const SECRET = "a content that is looked for";

const ENTRIES: TarEntrySpec[] = [
  { path: "./", type: "5", mode: 0o750 },
  { path: "bin/su", mode: 0o4755, data: SECRET },
  { path: "bin/again", type: "1", link: "bin/su" },
  { path: "lib", type: "2", link: "usr/lib" },
  { path: "lib/through", data: Buffer.alloc(700_000, "library") },
  { path: "long", type: "2", pax: { linkpath: "t".repeat(900) } },
  { path: "empty" },
  { path: "pipe", type: "6" },
  { path: "null", type: "3", mode: 0o666, major: 1, minor: 3 },
  { path: "etc/.wh.gone", data: "not empty" },
  { path: "opt/.wh..wh..opq" },
  { path: ".wh..wh.plnk/77.1", data: "of aufs" },
  { path: "ping", pax: { "SCHILY.xattr.security.capability": CAPABILITY }, data: "x" },
  {
    path: "sparse",
    pax: { "GNU.sparse.size": "9000000", "GNU.sparse.map": "0,3,5000000,2" },
    data: "abcde",
  },
];

test("every kind of entry comes back bit by bit, and is sound", async () => {
  const tar = Buffer.concat([makeTar(ENTRIES), Buffer.from("behind the end")]);
  const { image, record, result } = await unpacked(tar);
  expect((await recreate(image, record)).equals(tar)).toBe(true);
  expect((await kernel.checkLayer(image, record)).damaged).toEqual([]);
  const verified = await kernel.verifyLayer(image, record);
  expect([verified.damaged, verified.diffId]).toEqual([[], result.diffId]);
});

test("what an entry replaced is said, and the last word is sound", async () => {
  const { image, record, result } = await unpacked(
    makeTar([
      { path: "f", data: "one" },
      { path: "f", data: "two" },
      { path: "d/f", data: "x" },
    ]),
  );
  expect(result.lost).toBe("f");
  expect((await kernel.checkLayer(image, record)).damaged).toEqual([]);
  await expect(recreate(image, record)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
});

/** Turns one bit of the file. */
function turn(path: string, offset: number): void {
  const fd = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, offset);
  writeSync(fd, Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset);
  closeSync(fd);
}

test("a content that changed is found by verify, and named", async () => {
  const { image, record } = await unpacked(makeTar(ENTRIES));
  turn(image, readFileSync(image).indexOf(SECRET));
  expect((await kernel.checkLayer(image, record)).damaged).toEqual([]);
  const { damaged } = await kernel.verifyLayer(image, record);
  expect(damaged).toEqual([{ path: "bin/su", what: expect.stringMatching(/another content/) }]);
  await expect(recreate(image, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
});

const HEAD: [string, number][] = [
  ["header", 40],
  ["superblock", 1024 + 36],
];
test.each(HEAD)("a damaged %s is found by every look", async (_, offset) => {
  const { image, record } = await unpacked(makeTar(ENTRIES));
  turn(image, offset);
  for (const look of [kernel.checkLayer, kernel.verifyLayer])
    await expect(look(image, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
});

test("a damaged index, and one that was cut, are found by every look", async () => {
  for (const damage of [
    (image: string) => turn(image, statSync(image).size - 1),
    (image: string) => turn(image, Number(readFileSync(image).readBigUInt64LE(40)) + 70),
    (image: string) => truncateSync(image, statSync(image).size - 4096),
  ]) {
    const { image, record } = await unpacked(makeTar(ENTRIES));
    damage(image);
    for (const look of [kernel.checkLayer, kernel.verifyLayer])
      await expect(look(image, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
    await expect(recreate(image, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
  }
});
