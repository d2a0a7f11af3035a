// What somebody wrote into a layer's directory: found, and nothing else is taken for it.

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { kernel, unpack, useScratch } from "./fixture.ts";
import { makeTar, type TarEntrySpec } from "./tar-builder.ts";

const scratch = useScratch();

async function unpacked(entries: TarEntrySpec[]) {
  const root = scratch.fresh();
  const record = `${root}.record`;
  const { lost } = await unpack(root, gzipSync(makeTar(entries)), { files: { recordFile: record } });
  const found = async () => {
    const lists = [await kernel.checkLayer(root, record), await kernel.verifyLayer(root, record)];
    const [quick, full] = lists.map(({ damaged }) =>
      damaged.map(({ path, what }) => `${path} ${what}`).sort(),
    );
    expect(full).toEqual(quick);
    return full;
  };
  return { root, lost, found };
}

const ENTRIES: TarEntrySpec[] = [
  { path: "./", type: "5" },
  { path: "usr/share/doc/x/copyright", data: "parents that the tar never names" },
  { path: "lib", type: "2", link: "usr/lib" },
  { path: "lib/a/b", data: "through a link to a directory that is not named either" },
  { path: "only/opaque/.wh..wh..opq" },
  { path: "only/white/.wh.gone" },
  { path: "f/.wh.again" },
  { path: "f/again", data: "x" },
  { path: ".wh.d" },
  { path: "d/e", data: "in the place of a whiteout" },
  { path: ".wh..wh.plnk/7", data: "of aufs" },
  { path: "empty/", type: "5" },
  { path: "hard", type: "1", link: "d/e" },
];

test("parents that the tar does not name, and all that whiteouts leave, are no strangers", async () => {
  const { found } = await unpacked(ENTRIES);
  expect(await found()).toEqual([]);
});

const strange = (...paths: string[]) => paths.map((path) => `${path} is no part of the layer`);

test.each<[string, (root: string) => void, string[]]>([
  ["a file", (root) => writeFileSync(join(root, "usr/share/evil"), "x"), ["usr/share/evil"]],
  ["a file at the top", (root) => writeFileSync(join(root, "evil"), "x"), ["evil"]],
  ["a file in an empty directory", (root) => writeFileSync(join(root, "empty/evil"), ""), ["empty/evil"]],
  ["a symlink", (root) => symlinkSync("/etc/shadow", join(root, "d/evil")), ["d/evil"]],
  ["a FIFO", (root) => execFileSync("mkfifo", [join(root, "d/evil")]), ["d/evil"]],
  ["an empty directory", (root) => mkdirSync(join(root, "d/evil")), ["d/evil/"]],
  [
    "a tree, told of once",
    (root) => {
      mkdirSync(join(root, "d/evil/deep/er"), { recursive: true });
      for (const name of ["a", "deep/b", "deep/er/c"]) writeFileSync(join(root, "d/evil", name), "");
    },
    ["d/evil/"],
  ],
  [
    "a whiteout, which hides what is below",
    (root) => execFileSync("mknod", [join(root, "d/x"), "c", "0", "0"]),
    ["d/x"],
  ],
  [
    "a file in the place of a whiteout",
    (root) => {
      unlinkSync(join(root, "only/white/gone"));
      writeFileSync(join(root, "only/white/gone"), "back");
    },
    ["only/white/gone"],
  ],
  ["another name of a file", (root) => execFileSync("ln", [join(root, "d/e"), join(root, "d/f")]), ["d/f"]],
  [
    "more than will be listed",
    (root) => {
      for (let n = 0; n < 10_050; n++) writeFileSync(join(root, "empty", `${n}`), "");
    },
    Array.from({ length: 10_000 }, () => expect.stringMatching(/^empty\//)),
  ],
])("%s", async (_, write, paths) => {
  const { root, found } = await unpacked(ENTRIES);
  write(root);
  const seen = await found();
  expect(seen).toHaveLength(paths.length);
  if (paths.length < 100) expect(seen).toEqual(strange(...paths));
});

test("what a link of the layer leads to outside is not looked at", async () => {
  const outside = scratch.fresh("outside");
  writeFileSync(join(outside, "f"), "x");
  const { root, found } = await unpacked([{ path: "d/f", data: "x" }]);
  rmSync(join(root, "d"), { recursive: true });
  symlinkSync(outside, join(root, "d"));
  expect(await found()).toEqual(["d is no part of the layer", "d/f is missing, as is its directory"]);
});

test("behind a link that leads to itself everything is missing", async () => {
  const { root, found } = await unpacked([{ path: "d/f", data: "x" }]);
  rmSync(join(root, "d"), { recursive: true });
  symlinkSync("d", join(root, "d"));
  expect(await found()).toEqual(["d is no part of the layer", "d/f is missing, as is its directory"]);
});

test("a deep tree", async () => {
  const deep = `${"d/".repeat(900)}f`;
  const { root, found } = await unpacked([{ path: "x", pax: { path: deep }, data: "x" }]);
  expect(await found()).toEqual([]);
  execFileSync("sh", ["-c", `cd "$1" && for i in $(seq 500); do cd d; done && : > evil`, "sh", root]);
  expect(await found()).toEqual([`${"d/".repeat(500)}evil is no part of the layer`]);
});

test("a layer that replaces entries of its own is judged by what is named only", async () => {
  const { lost, found } = await unpacked([
    { path: "a/", type: "5" },
    { path: "b/", type: "5" },
    { path: "l", type: "2", link: "a" },
    { path: "l/f", data: "x" },
    { path: "b/f", data: "x" },
    { path: "l", type: "2", link: "b" },
  ]);
  expect(lost).toBe("l");
  expect(await found()).toEqual([]);
});
