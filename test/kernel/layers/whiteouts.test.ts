// Whiteouts as overlayfs sees them: each test mounts the layer over a lower one in a private mount namespace.

import { lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { inPrivateMounts, unpack, useScratch, xattrOf } from "./fixture.ts";
import { makeTar, type TarEntrySpec } from "./tar-builder.ts";

const scratch = useScratch();
let lower = "";

beforeAll(() => {
  lower = scratch.fresh("lower");
  mkdirSync(join(lower, "dir/sub"), { recursive: true });
  for (const path of ["dir/one", "dir/two", "dir/sub/three", "file"])
    writeFileSync(join(lower, path), "lower");
});

/** What is seen of dir and file, each with its first line. */
async function merged(entries: TarEntrySpec[]): Promise<string[]> {
  const upper = scratch.fresh("upper");
  await unpack(upper, makeTar(entries));
  const script =
    'mount -t overlay overlay -o "lowerdir=$1:$2" /mnt; cd /mnt; ' +
    'find . -type f -printf "%P " -exec cat {} \\; -printf "\\n"';
  const lines = inPrivateMounts(script, upper, lower).trim().split("\n");
  return lines.filter((line) => line !== "").sort();
}

const ALL = ["dir/one lower", "dir/sub/three lower", "dir/two lower", "file lower"];

test("a layer without whiteouts hides nothing", async () => {
  expect(await merged([{ path: "new", data: "upper" }])).toEqual([...ALL, "new upper"].sort());
});

test("a whiteout hides a file or a directory of lower layers", async () => {
  expect(await merged([{ path: ".wh.file" }, { path: "dir/.wh.sub" }])).toEqual([
    "dir/one lower",
    "dir/two lower",
  ]);
});

test("an opaque directory hides what lower layers have in it, wherever the mark stands", async () => {
  const mark = { path: "dir/.wh..wh..opq" };
  const file = { path: "dir/four", data: "upper" };
  const expected = ["dir/four upper", "file lower"];
  expect(await merged([{ path: "dir/", type: "5" }, mark, file])).toEqual(expected);
  expect(await merged([file, mark])).toEqual(expected);
  expect(await merged([mark, file])).toEqual(expected);
});

test("an entry of the same layer wins over its whiteout, in either order", async () => {
  const whiteout = { path: ".wh.file" };
  const file = { path: "file", data: "upper" };
  const expected = ["dir/one lower", "dir/sub/three lower", "dir/two lower", "file upper"];
  expect(await merged([whiteout, file])).toEqual(expected);
  expect(await merged([file, whiteout])).toEqual(expected);
});

test("a directory that is whited out and made again shows nothing of the lower one", async () => {
  const whiteout = { path: ".wh.dir" };
  const directory = { path: "dir/", type: "5" };
  const file = { path: "dir/new", data: "upper" };
  const expected = ["dir/new upper", "file lower"];
  expect(await merged([whiteout, directory, file])).toEqual(expected);
  expect(await merged([directory, file, whiteout])).toEqual(expected);
  expect(await merged([whiteout, file])).toEqual(expected);
});

test("aufs's other names are skipped", async () => {
  const root = scratch.fresh();
  const result = await unpack(
    root,
    makeTar([
      { path: ".wh..wh.plnk/", type: "5" },
      { path: ".wh..wh.plnk/1.2", data: "x" },
      { path: ".wh..wh.aufs", data: "x" },
      { path: "seen", data: "x" },
    ]),
  );
  expect(result.entries).toBe(4);
  expect(inPrivateMounts('ls -A "$1"', root).trim()).toBe("seen");
});

test("a whiteout is a character device 0/0, an opaque directory has the mark", async () => {
  const root = scratch.fresh();
  await unpack(root, makeTar([{ path: "a/.wh.gone" }, { path: "b/.wh..wh..opq" }]));
  const gone = lstatSync(join(root, "a/gone"));
  expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
  expect(xattrOf(join(root, "b"), "trusted.overlay.opaque")).toBe("79");
});
