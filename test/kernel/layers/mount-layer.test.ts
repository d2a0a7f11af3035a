// Layers that are EROFS images, mounted from their file and attached nowhere.

import { execFileSync } from "node:child_process";
import {
  closeSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { kernel, LIMITS, layerMounts, useScratch } from "./fixture.ts";
import { makeTar } from "./tar-builder.ts";

const scratch = useScratch();

async function image(): Promise<string> {
  const path = join(scratch.fresh(), "image");
  const layer = kernel.unpackLayer(path, LIMITS, {}, undefined, "erofs");
  await layer.write(makeTar([{ path: "f", data: "hello\n", uid: 5, gid: 6 }]));
  await layer.finish();
  return path;
}

const damaged = (path: string) => ({ code: "DATA_LOSS", cause: { errno: "EBADMSG", path } });

/** What `look` sees of the mount at its path below /proc. */
async function mounted<T>(path: string, look: (root: string) => T): Promise<T> {
  const mount = await kernel.mountLayer(path);
  try {
    return look(`/proc/self/fd/${mount}`);
  } finally {
    closeSync(mount);
  }
}

test("mountLayer mounts an image, read-only, and the host's mount table does not grow", async () => {
  const path = await image();
  const before = layerMounts();
  await mounted(path, (root) => {
    expect(readdirSync(root)).toEqual(["f"]);
    expect(readFileSync(join(root, "f"), "utf8")).toBe("hello\n");
    expect(lstatSync(join(root, "f"))).toMatchObject({ uid: 5, gid: 6, size: 6 });
    expect(() => writeFileSync(join(root, "g"), "")).toThrow(/EROFS/);
    expect(layerMounts()).toEqual(before);
  });
  expect(layerMounts()).toEqual(before);
});

test("nothing but the mount's own descriptor is left open", async () => {
  const path = await image();
  const before = readdirSync("/proc/self/fd").length;
  await mounted(path, () => expect(readdirSync("/proc/self/fd")).toHaveLength(before + 1));
  expect(readdirSync("/proc/self/fd")).toHaveLength(before);
});

test("mountLayer refuses what is no image", async () => {
  const path = await image();
  const directory = scratch.fresh();
  const [link, fifo, garbage] = ["link", "fifo", "garbage"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  symlinkSync(path, link);
  execFileSync("mkfifo", [fifo]);
  writeFileSync(garbage, Buffer.alloc(8192, "x"));
  await expect(kernel.mountLayer(link)).rejects.toMatchObject({ errno: "ELOOP", path: link });
  for (const path of [fifo, directory, garbage])
    await expect(kernel.mountLayer(path)).rejects.toMatchObject(damaged(path));
  await expect(kernel.mountLayer(`${garbage}/x`)).rejects.toMatchObject({ errno: "ENOTDIR" });
  truncateSync(path, statSync(path).size - 1);
  await expect(kernel.mountLayer(path)).rejects.toMatchObject(damaged(path));
});
