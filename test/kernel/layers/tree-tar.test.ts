// A tree as a tar: GNU tar unpacks it again, and the two must be the same.

import { execFileSync } from "node:child_process";
import {
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadKernel } from "../../../src/kernel/binding.ts";
import { unpack } from "./fixture.ts";

const kernel = loadKernel();
let folder: string;
beforeEach(() => {
  folder = mkdtempSync("/tmp/berth-tree-tar-");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sh = (script: string, ...args: string[]) =>
  execFileSync("sh", ["-ec", script, "sh", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** Layers made by scripts, the lowest first; returns their directories, the top first. */
function layersOf(...scripts: string[]): string[] {
  return scripts
    .map((script, n) => {
      const path = join(folder, `layer${n}`);
      mkdirSync(path);
      sh(`cd "$1"; ${script}`, path);
      return path;
    })
    .reverse();
}

async function unpacked(layers: string[]): Promise<string> {
  const tar = join(folder, "tree.tar");
  await pipeline(Readable.from(kernel.treeTar(layers)), createWriteStream(tar));
  const target = join(folder, "unpacked");
  mkdirSync(target);
  sh('tar --xattrs --xattrs-include="*" --numeric-owner -xpf "$1" -C "$2"', tar, target);
  return target;
}

/** Everything but the times of directories. */
const describe = (path: string) =>
  sh(
    `cd "$1"; export LC_ALL=C
     find . ! -type d -printf '%p %y %m %U:%G %l %n %T@ %s\\n' -o -type d -printf '%p %y %m %U:%G\\n' | sort
     find . -type f -print0 | sort -z | xargs -0 -r sha256sum
     getfattr -R -P -d -m '^(user|security[.]capability)' -e hex . 2>/dev/null | sort`,
    path,
  );

it("holds every kind of entry with all that belongs to it", async () => {
  const long = "n".repeat(120);
  const layers = layersOf(
    `echo one > file; ln file hard; ln -s file soft; mkfifo pipe; mknod null c 1 3
     mkdir -m 1777 sticky; chown 3000000:70000 file; chmod 4755 file; : > empty
     mkdir -p deep/${long}; echo x > deep/${long}/${long}; ln -s ${long}${long} deep/far
     touch -hd '1969-12-31 23:59:58.25 UTC' empty; touch -d '2100-01-01 00:00:00.123456789' pipe
     setfattr -n user.colour -v blue file; head -c 1000000 /dev/urandom > big`,
    ":",
  );
  const target = await unpacked(layers);
  expect(describe(target)).toBe(describe(layers[1] as string));
});

it("shows the layers as their overlay does, without what was removed", async () => {
  const layers = layersOf(
    "mkdir dir; echo a > dir/a; echo b > dir/b; echo c > c",
    "mknod c c 0 0; mkdir dir; setfattr -n trusted.overlay.opaque -v y dir; echo d > dir/d",
  );
  const target = await unpacked(layers);
  expect(sh('cd "$1"; find . -mindepth 1 | sort', target)).toBe("./dir\n./dir/d\n");
  expect(sh('getfattr -d -m - "$1/dir" 2>/dev/null', target)).toBe("");
});

it("goes through a thousand levels, and leaves out sockets and what is mounted inside", async () => {
  const layers = layersOf(
    `python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")' 2>/dev/null || :
     i=0; while [ $i -lt 1000 ]; do mkdir d; cd d; i=$((i+1)); done; echo end > f`,
    ":",
  );
  const tar = join(folder, "tree.tar");
  await pipeline(Readable.from(kernel.treeTar(layers)), createWriteStream(tar));
  const names = sh('tar -tf "$1"', tar).trim().split("\n");
  expect(names).toHaveLength(1002);
  expect(names.at(-1)).toBe(`${"d/".repeat(1000)}f`);
});

it("follows no link out of the tree", async () => {
  const secret = join(folder, "secret");
  writeFileSync(secret, "secret");
  const layers = layersOf(`ln -s "${secret}" link; ln -s / root`, ":");
  const tar = join(folder, "tree.tar");
  await pipeline(Readable.from(kernel.treeTar(layers)), createWriteStream(tar));
  expect(readFileSync(tar).includes("secret\0")).toBe(true);
  expect(sh('tar -xOf "$1"', tar)).toBe("");
});

it("stops when nobody reads any more, and says what is missing", async () => {
  const layers = layersOf("head -c 8000000 /dev/zero > big", ":");
  for await (const piece of kernel.treeTar(layers)) {
    expect(piece.byteLength).toBeGreaterThan(0);
    break;
  }
  const read = async () => {
    for await (const _ of kernel.treeTar([join(folder, "none"), layers[0] as string])) void _;
  };
  await expect(read()).rejects.toMatchObject({ errno: "ENOENT" });
});

it("holds no holes", async () => {
  const long = "n".repeat(120);
  const layers = layersOf(
    `truncate -s 3000000 middle; printf middle | dd of=middle bs=1 seek=1500000 conv=notrunc status=none
     truncate -s 5000000 nothing; head -c 2000000 /dev/zero > full; truncate -s 100 short
     mkdir -p d/${long}; cp --sparse=always middle d/${long}/end; printf end >> d/${long}/end`,
    `mkdir upper; truncate -s 10T upper/huge
     printf x | dd of=upper/huge bs=1 seek=7T conv=notrunc status=none`,
  );
  const tar = join(folder, "tree.tar");
  await pipeline(Readable.from(kernel.treeTar(layers)), createWriteStream(tar));
  expect(statSync(tar).size).toBeLessThan(2_300_000);
  const own = join(folder, "own");
  const gnu = join(folder, "gnu");
  for (const target of [own, gnu]) mkdirSync(target);
  sh('tar -xpf "$1" -C "$2"', tar, gnu);
  await unpack(own, readFileSync(tar));
  for (const target of [own, gnu]) {
    expect(
      sh(
        'stat -c %s "$1"; dd if="$1" bs=1 skip=7T count=2 status=none | od -An -c',
        join(target, "upper/huge"),
      ),
    ).toBe(`${10 * 2 ** 40}\n   x  \\0\n`);
    rmSync(join(target, "upper"), { recursive: true });
    expect(describe(target)).toBe(describe(layers[1] as string));
  }
});
