// What is peculiar to layers that are EROFS images: how the kernel reads them, their limits, and what is on
// disk.

import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { KernelError } from "../../../src/lib/errors.ts";
import {
  begin,
  describeTree,
  inPrivateMounts,
  kernel,
  LIMITS,
  unpack,
  useForm,
  useImages,
  useScratch,
} from "./fixture.ts";
import { makeTar, type TarEntrySpec } from "./tar-builder.ts";

useImages();

const scratch = useScratch();

async function unpacked(entries: (TarEntrySpec | Buffer)[]): Promise<string> {
  const root = scratch.fresh();
  await unpack(root, gzipSync(makeTar(entries)));
  return root;
}

test("directories of 10,000 entries, and of names of every length", async () => {
  const many = Array.from({ length: 10_000 }, (_, at) => `entry-${at * 7919}`);
  const long = Array.from({ length: 255 }, (_, at) => "n".repeat(at + 1));
  const odd = ["!", "+", "-", "...", "..a", ".a", "\u00e9", "~", "a b", "a\nb", "A"];
  const files = (folder: string, names: string[]) =>
    names.map((name) => ({ path: "x", pax: { path: `${folder}/${name}` } }));
  const root = await unpacked([...files("many", many), ...files("long", long), ...files("odd", odd)]);
  const listed = (folder: string) => readdirSync(join(root, folder)).sort();
  expect(listed("many")).toEqual([...many].sort());
  expect(listed("long")).toEqual([...long].sort());
  expect(listed("odd")).toEqual([...odd].sort());
  for (const [folder, names] of Object.entries({ many, long, odd }))
    for (const name of names) expect(lstatSync(join(root, folder, name)).isFile()).toBe(true);
  for (const name of ["entry-", "entry-79190000", `${"n".repeat(254)}m`, "zz", ".", ".."])
    expect(existsSync(join(root, "many", name, "x"))).toBe(false);
  expect(existsSync(join(root, "long", "m"))).toBe(false);
});

test("links count, and those of directories too", async () => {
  const root = await unpacked([
    { path: "d/one/", type: "5" },
    { path: "d/two/three/", type: "5" },
    { path: "d/file", data: "x" },
    { path: "hard", type: "1", link: "d/file" },
    { path: "gone/file", type: "1", link: "d/file" },
    { path: "gone", type: "2", link: "d" },
  ]);
  const links = ["", "d", "d/one", "d/two", "d/file", "hard", "gone"];
  expect(links.map((path) => lstatSync(`${root}/${path}`).nlink)).toEqual([3, 4, 2, 3, 2, 2, 1]);
  expect(lstatSync(join(root, "hard")).ino).toBe(lstatSync(join(root, "d/file")).ino);
});

test("links of any length, with attributes beside them, also of several names", async () => {
  const sizes = [1, 60, 383, 384, 447, 448, 449, 511, 512, 513, 1024, 4095];
  const root = await unpacked(
    sizes.flatMap((size) => [
      {
        path: `l${size}`,
        type: "2",
        pax: { linkpath: "t".repeat(size), "SCHILY.xattr.trusted.a": "v".repeat(40) },
      },
      { path: `m${size}`, type: "2", pax: { linkpath: "t".repeat(size) } },
      { path: `h${size}`, type: "1", link: `m${size}` },
    ]),
  );
  for (const size of sizes)
    for (const name of ["l", "m", "h"]) expect(readlinkSync(join(root, name + size))).toBe("t".repeat(size));
});

test("attributes larger than an image's block, many, and of directories that come twice", async () => {
  const attribute = (name: string, value: string) => ({ [`SCHILY.xattr.user.${name}`]: value });
  const many = Object.assign(
    {},
    ...Array.from({ length: 60 }, (_, at) => attribute(`k${at}`, `${at}`.repeat(15))),
  );
  const root = await unpacked([
    { path: "large", pax: attribute("large", "L".repeat(3000)), data: "x" },
    { path: "many", pax: many },
    { path: "d/", type: "5", pax: { ...attribute("one", "1"), ...attribute("two", "2") } },
    { path: "d/.wh..wh..opq" },
    {
      path: "d/",
      type: "5",
      mode: 0o700,
      pax: { ...attribute("two", "second"), ...attribute("three", "3") },
    },
  ]);
  const values = (path: string) => {
    const text = execFileSync("getfattr", ["-d", "-m", "-", "--absolute-names", join(root, path)], {
      encoding: "utf8",
    });
    return Object.fromEntries(
      [...text.matchAll(/^([^#\n]+)="(.*)"$/gm)].map(([, key, value]) => [key, value]),
    );
  };
  expect(values("large")).toEqual({ "user.large": "L".repeat(3000) });
  expect(Object.keys(values("many"))).toHaveLength(60);
  expect(values("many")["user.k59"]).toBe("59".repeat(15));
  expect(values("d")).toEqual({
    "trusted.overlay.opaque": "y",
    "user.one": "1",
    "user.two": "second",
    "user.three": "3",
  });
  expect(statSync(join(root, "d")).mode & 0o777).toBe(0o700);
});

test("times that other file systems cut, and what no entry names", async () => {
  const root = await unpacked([
    { path: "far", pax: { mtime: "99999999999.5" }, data: "x" },
    { path: "before", pax: { mtime: "-9999999999.75" }, data: "x" },
    { path: "implied/file", mtime: 1_234_567_890, data: "x" },
  ]);
  const time = (path: string) => lstatSync(`${root}/${path}`, { bigint: true }).mtimeNs;
  expect(time("far")).toBe(99_999_999_999_500_000_000n);
  expect(time("before")).toBe(-9_999_999_999_750_000_000n);
  expect(time("implied")).toBe(1_234_567_890_000_000_000n);
  expect(lstatSync(join(root, "implied")).mode & 0o7777).toBe(0o755);
});

/** A sparse file of PAX 0.1: runs of single bytes. */
function sparse(path: string, size: number, offsets: number[]): TarEntrySpec {
  const map = offsets.flatMap((offset) => [offset, 1]).join();
  const pax = { "GNU.sparse.size": String(size), "GNU.sparse.map": map };
  return { path, pax, data: Buffer.alloc(offsets.length, 7) };
}

test("a hole of a terabyte takes no room", async () => {
  const size = 2 ** 40;
  const offsets = [0, 4095, 4096, 1_000_000, 2 ** 33 + 17, size - 1];
  const root = await unpacked([sparse("huge", size, offsets), { path: "after", data: "behind it" }]);
  expect(statSync(join(root, "huge")).size).toBe(size);
  expect(statSync(`${root}.image`).blocks * 512).toBeLessThan(1 << 20);
  const script = 'cd "$1"; for at in $2; do tail -c +$((at + 1)) huge | head -c 1 | od -An -tu1; done';
  const at = (offset: number) =>
    execFileSync("sh", ["-ec", script, "sh", root, String(offset)], { encoding: "utf8" });
  for (const offset of offsets) expect(at(offset).trim()).toBe("7");
  for (const offset of [1, 4097, 2 ** 32, size - 2]) expect(at(offset).trim()).toBe("0");
  expect(readFileSync(join(root, "after"), "utf8")).toBe("behind it");
});

test("sparse files of many runs, small ones, and ones of nothing but a hole", async () => {
  const offsets = Array.from({ length: 5000 }, (_, at) => at * 70_001);
  const size = 5000 * 70_001;
  const root = await unpacked([
    sparse("runs", size, offsets),
    sparse("hole", 3 << 20, []),
    sparse("empty", 0, []),
    sparse("small", 700, [0, 511, 512, 699]),
  ]);
  const wanted = Buffer.alloc(size);
  for (const offset of offsets) wanted[offset] = 7;
  expect(readFileSync(join(root, "runs")).equals(wanted)).toBe(true);
  expect(readFileSync(join(root, "hole")).equals(Buffer.alloc(3 << 20))).toBe(true);
  expect(readFileSync(join(root, "empty")).length).toBe(0);
  expect(
    [...readFileSync(join(root, "small")).entries()].filter(([, byte]) => byte === 7).map(([at]) => at),
  ).toEqual([0, 511, 512, 699]);
});

test("holes stay holes when a container is exported, whatever form its layers have", async () => {
  const offsets = [0, 20_000_000, 64 * 2 ** 20 - 1];
  const tar = makeTar([sparse("d/sparse", 64 * 2 ** 20, offsets), { path: "short", data: "x" }]);
  for (const form of ["directory", "erofs"] as const) {
    useForm(form);
    const [root, target] = [scratch.fresh(), scratch.fresh("export")];
    await unpack(root, gzipSync(tar)).finally(() => useForm("erofs"));
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of kernel.treeTar([scratch.fresh("upper"), root])) {
      size += piece.length;
      expect(size).toBeLessThan(1 << 20);
      pieces.push(piece);
    }
    execFileSync("tar", ["-xpf", "-", "-C", target], { input: Buffer.concat(pieces) });
    execFileSync("cmp", [join(root, "d/sparse"), join(target, "d/sparse")]);
  }
});

const attributes = (count: number, size: number) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`SCHILY.xattr.user.k${at}`, "v".repeat(size)]),
  );

test("a container can change every file, whatever its attributes", async () => {
  // The most of one attribute, and of small ones.
  const root = await unpacked([
    { path: "one", pax: attributes(1, 3784), data: "x" },
    { path: "many", pax: attributes(158, 4), data: "x" },
    { path: "d/", type: "5", pax: attributes(1, 3784) },
  ]);
  for (const pax of [attributes(1, 3785), attributes(159, 4)])
    expect(await overflow([{ path: "x", pax }])).toMatch(/attributes are too large/);
  const twice = [attributes(1, 3000), { "SCHILY.xattr.user.other": "v".repeat(1000) }];
  expect(await overflow(twice.map((pax) => ({ path: "d/", type: "5", pax })))).toMatch(/too large/);
  const script = `mkdir "$2/u" "$2/w"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/u,workdir=$2/w" /mnt
    cd /mnt; chmod 700 one many; touch d/new
    for name in one many d; do getfattr -m "^user" "$2/u/$name" | grep -c "^user"; done`;
  expect(inPrivateMounts(script, root, scratch.fresh("upper")).trim().split("\n")).toEqual(["1", "158", "1"]);
});

async function overflow(entries: (TarEntrySpec | Buffer)[], limits = {}): Promise<string> {
  const error = await unpack(scratch.fresh(), gzipSync(makeTar(entries)), { limits }).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KernelError);
  expect((error as KernelError).errno).toBe("EOVERFLOW");
  return (error as KernelError).message;
}

test("what no image can hold is EOVERFLOW", async () => {
  expect(await overflow([{ path: "x", pax: attributes(1, 65_536) }])).toMatch(/attributes are too large/);
  expect(await overflow([{ path: "x", pax: attributes(5, 60_000) }])).toMatch(/attributes are too large/);
  expect(await overflow([sparse("x", 2 ** 60, [])])).toMatch(/sparse file is too large/);
  const wide = [...Array(15).keys()].map((at) => sparse(`s${at}`, 2 ** 50, [0, 2 ** 40, 2 ** 45]));
  expect(await overflow(wide)).toMatch(/block numbers/);
  const touched = Array.from({ length: 40 }, (_, at) => at * 2 ** 36);
  expect(await overflow([sparse("x", 2 ** 50, touched)])).toMatch(/block numbers/);
  const deep = [...Array(3).keys()].flatMap((at) => {
    const path = `${at === 0 ? "" : `l${at - 1}/`}${"d/".repeat(2000)}`;
    return [
      { path: "x", type: "5", pax: { path } },
      { path: `l${at}`, type: "2", pax: { linkpath: path } },
    ];
  });
  expect(await overflow(deep)).toMatch(/too deep/);
});

test("a tree of more than 128 MiB is EOVERFLOW, and its memory is given back", async () => {
  const entries = (specs: TarEntrySpec[]) => gzipSync(makeTar(specs).subarray(0, specs.length * 512));
  // Always the same names, through a link in another directory each time.
  const names = [...Array(20_000).keys()].map((at) => ({ path: `d/${"n".repeat(80)}${at}` }));
  const files = entries(names);
  const members = [...Array(60).keys()].flatMap((at) => {
    const target = `${"t".repeat(80)}${at}`;
    const way = [
      { path: `${target}/`, type: "5" },
      { path: "d", type: "2", link: target },
    ];
    return [entries(way), files];
  });
  const before = process.memoryUsage.rss();
  const limits = { maxUnpackedBytes: 2 ** 40, maxEntries: 4_000_000 };
  const error = await unpack(scratch.fresh(), Buffer.concat(members), { limits }).catch(
    (reason: unknown) => reason,
  );
  expect((error as KernelError).message).toMatch(/more than 128 MiB of memory/);
  expect((error as KernelError).errno).toBe("EOVERFLOW");
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20);
});

test("an image is one private file, made once, the same of the same tar", async () => {
  const tar = makeTar([
    { path: "a/b", data: "x".repeat(5000) },
    { path: "c", type: "2", link: "a" },
    { path: "c/d", data: "y" },
  ]);
  const roots = [scratch.fresh(), scratch.fresh()];
  for (const root of roots) await unpack(root, gzipSync(tar));
  const [one, other] = roots.map((root) => readFileSync(`${root}.image`));
  expect(one?.equals(other as Buffer)).toBe(true);
  const status = statSync(`${roots[0]}.image`);
  expect([status.isFile(), status.mode & 0o7777, status.size % 4096]).toEqual([true, 0o600, 0]);
  await expect(unpackInto(`${roots[0]}.image`, tar)).rejects.toMatchObject({ errno: "EEXIST" });
});

async function unpackInto(image: string, tar: Buffer): Promise<void> {
  const layer = kernel.unpackLayer(image, LIMITS, {}, undefined, "erofs");
  try {
    await layer.write(tar);
    await layer.finish();
  } finally {
    await layer.abort();
  }
}

test("what was left in the middle is no image", async () => {
  const directory = scratch.fresh();
  const layer = begin(directory);
  await layer.write(makeTar([{ path: "x", data: Buffer.alloc(4 << 20, 1) }]).subarray(0, 3 << 20));
  await layer.abort();
  await expect(kernel.mountLayer(`${directory}.image`)).rejects.toThrow();
});

test("layers that are images lie over each other as directories do", async () => {
  const lower = await unpacked([
    { path: "dir/one", data: "lower" },
    { path: "dir/sub/two", data: "lower" },
    { path: "file", data: "lower" },
    { path: "kept", data: "lower" },
  ]);
  const upper = await unpacked([
    { path: "dir/.wh..wh..opq" },
    { path: "dir/three", data: "upper" },
    { path: ".wh.file" },
  ]);
  const script = 'mount -t overlay overlay -o "lowerdir=$1:$2" /mnt; cd /mnt; find . -type f | sort';
  expect(inPrivateMounts(script, upper, lower).trim().split("\n")).toEqual(["./dir/three", "./kept"]);
});

test("a tree is the same in both forms", async () => {
  const tree = scratch.fresh("tree");
  mkdirSync(join(tree, "a/b/c"), { recursive: true });
  const script = `cd "$1"; for i in $(seq 400); do head -c $((i * 37)) /dev/urandom > "a/b/file $i"; done
    ln "a/b/file 7" a/hard; ln -s ../b a/b/c/l`;
  execFileSync("bash", ["-ec", script, "bash", tree]);
  const tar = execFileSync("tar", ["-cf", "-", "-C", tree, "."], { maxBuffer: 64 << 20 });
  const [image, directory] = [scratch.fresh(), scratch.fresh()];
  await unpack(image, gzipSync(tar));
  useForm("directory");
  await unpack(directory, gzipSync(tar)).finally(() => useForm("erofs"));
  // Sizes of directories are the file system's own.
  const lines = (root: string) => describeTree(root).replace(/^(.* d \d+ \S+ ) ?\d+ /gm, "$1");
  expect(lines(image)).toBe(lines(directory));
});
