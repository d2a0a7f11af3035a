// Trees as a whole: removing, measuring, and reading one file of several layers.

import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inPrivateMounts, kernel, unpack, useScratch } from "./fixture.ts";
import { makeTar } from "./tar-builder.ts";

const scratch = useScratch();

test("removeTree removes what it is given, follows no link, and does not mind what is missing", async () => {
  const root = scratch.fresh();
  const outside = scratch.fresh("outside");
  writeFileSync(join(outside, "kept"), "x");
  mkdirSync(join(root, "a/b"), { recursive: true });
  symlinkSync(outside, join(root, "a/link"));
  execFileSync("mkfifo", [join(root, "a/pipe")]);
  for (let at = 0; at < 1500; at++) writeFileSync(join(root, `a/b/file-with-a-longer-name-${at}`), "");
  await kernel.removeTree(root);
  expect(existsSync(root)).toBe(false);
  expect(readdirSync(outside)).toEqual(["kept"]);
  await kernel.removeTree(root);
  await kernel.removeTree(join(root, "not/there"));
  symlinkSync(outside, join(scratch.path, "link"));
  await kernel.removeTree(join(scratch.path, "link"));
  expect(readdirSync(outside)).toEqual(["kept"]);
  await expect(kernel.removeTree("relative")).rejects.toThrow(/EINVAL/);
});

test("removeTree and treeUsage manage trees far deeper than PATH_MAX and the descriptors", async () => {
  const root = scratch.fresh();
  const script = `cd "$1"; for i in 1 2 3 4 5; do mkdir -p $2; touch f g; cd -P ./$2; done`;
  execFileSync("bash", ["-ec", script, "bash", root, "ddd/".repeat(300)]);
  expect((await kernel.treeUsage(root)).inodes).toBe(1 + 1500 + 10);
  const open = readdirSync("/proc/self/fd").length;
  await kernel.removeTree(root);
  expect(existsSync(root)).toBe(false);
  expect(readdirSync("/proc/self/fd").length).toBe(open);
});

test("removeTree does not mind who else removes the same tree", async () => {
  const script = `cd "$1"; mkdir -p {a,b,c,d}/{1..40}/x; touch {a,b,c,d}/{1..40}/f`;
  for (let round = 0; round < 8; round++) {
    const root = scratch.fresh();
    execFileSync("bash", ["-ec", script, "bash", root]);
    await Promise.all(Array.from({ length: 4 }, () => kernel.removeTree(root)));
    expect(existsSync(root)).toBe(false);
  }
});

test("removeTree stops at a mount point", async () => {
  const root = scratch.fresh();
  const other = scratch.fresh("other");
  writeFileSync(join(other, "kept"), "x");
  mkdirSync(join(root, "mnt"));
  execFileSync("mount", ["--bind", other, join(root, "mnt")]);
  try {
    await expect(kernel.removeTree(root)).rejects.toMatchObject({ errno: "EXDEV" });
    await expect(kernel.removeTree(join(root, "mnt"))).rejects.toMatchObject({ errno: "EXDEV" });
  } finally {
    execFileSync("umount", [join(root, "mnt")]);
  }
  expect(readdirSync(other)).toEqual(["kept"]);
  await kernel.removeTree(root);
});

test("treeUsage counts blocks like du and a hard link once", async () => {
  const root = scratch.fresh();
  mkdirSync(join(root, "d"));
  writeFileSync(join(root, "d/f"), Buffer.alloc(100_000));
  linkSync(join(root, "d/f"), join(root, "again"));
  symlinkSync("/nowhere", join(root, "l"));
  await kernel.syncFilesystem(root);
  const du = (...options: string[]) =>
    Number(execFileSync("du", [...options, root], { encoding: "utf8" }).split("\t")[0]);
  expect(await kernel.treeUsage(root)).toEqual({ bytes: du("-s", "-B1"), inodes: du("-s", "--inodes") });
  await expect(kernel.treeUsage(join(root, "missing"))).rejects.toMatchObject({ errno: "ENOENT" });
});

async function layersOf(...tars: Buffer[]): Promise<string[]> {
  const roots = tars.map(() => scratch.fresh());
  for (const [at, tar] of tars.entries()) await unpack(roots[at] as string, tar);
  return roots;
}

const read = async (layers: string[], path: string, max = 1000) => {
  const data = await kernel.readBeneath(layers, path, max);
  return data === null ? null : Buffer.from(data).toString("latin1");
};

test("readBeneath sees one layer, with links resolved inside", async () => {
  const layers = await layersOf(
    makeTar([
      { path: "etc/passwd", data: "root:x:0:0" },
      { path: "etc/link", type: "2", link: "/etc/passwd" },
      { path: "etc/out", type: "2", link: "../../../../../../etc/hostname" },
      { path: "etc/circle", type: "2", link: "circle" },
      { path: "etc/.wh.group" },
      { path: "etc/fifo", type: "6" },
      { path: "etc/device", type: "3", major: 1, minor: 5 },
      { path: "etc/exact", data: "x".repeat(1000) },
      { path: "etc/big", data: "x".repeat(1001) },
    ]),
  );
  expect(await read(layers, "/etc/passwd")).toBe("root:x:0:0");
  expect(await read(layers, "etc/passwd")).toBe("root:x:0:0");
  expect(await read(layers, "/etc/link")).toBe("root:x:0:0");
  expect(await read(layers, "../../etc/link")).toBe("root:x:0:0");
  expect((await read(layers, "/etc/exact"))?.length).toBe(1000);
  for (const path of ["/etc/out", "/etc/circle", "/etc/group", "/nothing", "/etc/passwd/x"])
    expect(await read(layers, path)).toBeNull();
  await expect(read(layers, "/etc/big")).rejects.toMatchObject({ errno: "EFBIG" });
  for (const path of ["/etc/fifo", "/etc/device", "/etc"])
    await expect(read(layers, path)).rejects.toMatchObject({ errno: "EINVAL" });
});

test("readBeneath sees several layers as an overlay, and leaves no mount", async () => {
  const mounts = () => inPrivateMounts("cat /proc/self/mountinfo").split("\n").length;
  const before = mounts();
  const layers = await layersOf(
    makeTar([{ path: "etc/.wh.group" }, { path: "opt/.wh..wh..opq" }, { path: "new", data: "top" }]),
    makeTar([
      { path: "etc/passwd", data: "middle" },
      { path: "to", type: "2", link: "/etc/shadow" },
    ]),
    makeTar([
      { path: "etc/passwd", data: "bottom" },
      { path: "etc/group", data: "bottom" },
      { path: "etc/shadow", data: "bottom" },
      { path: "opt/x", data: "bottom" },
    ]),
  );
  expect(await read(layers, "/etc/passwd")).toBe("middle");
  expect(await read(layers, "/etc/group")).toBeNull();
  expect(await read(layers, "/opt/x")).toBeNull();
  expect(await read(layers, "/to")).toBe("bottom");
  expect(await read(layers, "/new")).toBe("top");
  expect(mounts()).toBe(before);
});

test("readBeneath manages 120 layers", async () => {
  const layers = await layersOf(
    ...Array.from({ length: 3 }, (_, at) => makeTar([{ path: `f${at}`, data: `${at}` }])),
  );
  const parent = scratch.fresh("many");
  const many = Array.from({ length: 120 }, (_, at) => join(parent, String(at)));
  for (const path of many) mkdirSync(path);
  expect(await read([...many, ...layers], "/f2")).toBe("2");
});
