// Containers whose layers are EROFS images, mounted by the daemon and attached nowhere, alone and together
// with layers that are directories.

import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { ContainerMount } from "../../../src/types/container.ts";
import { MAPPED, volume } from "../../unit/spec/fixture.ts";
import { makeTar } from "../layers/tar-builder.ts";
import { type PodOptions, type RunOptions, type TestContainer, type TestPod, usePods } from "./pod.ts";

const startPod = usePods();
const LIMITS = { maxUnpackedBytes: 1 << 20, maxEntries: 10 };
const mounts: number[] = [];
afterEach(() => {
  for (const mount of mounts.splice(0)) closeSync(mount);
});

const KINDS: readonly (readonly [string, PodOptions])[] = [
  ["without a user namespace", {}],
  ["with a user namespace", { security: { namespaces: MAPPED } }],
];

/** A layer with one file "f" of 5:6, as plans name it. */
async function image(pod: TestPod, content = "image\n"): Promise<string> {
  const path = join(pod.directory, `image-${mounts.length}`);
  const layer = pod.kernel.unpackLayer(path, LIMITS, {}, undefined, "erofs");
  await layer.write(makeTar([{ path: "f", data: content, uid: 5, gid: 6 }]));
  await layer.finish();
  const mount = await pod.kernel.mountLayer(path);
  mounts.push(mount);
  return `/proc/${process.pid}/fd/${mount}`;
}

function withLowers(...lowers: string[]): RunOptions {
  return { input: { lowers } };
}

async function textOf(pod: TestPod, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr } = await pod.run(args, options);
  return `${stdout}${stderr}`;
}

const DATA = {
  image: "data",
  imageRef: "sha256:data",
  userSpecifiedImage: "",
  annotations: {},
  runtimeHandler: "",
};
const rootOf = ({ process: { pid } }: TestContainer) => `/proc/${pid}/root`;
const probeLayer = (pod: TestPod) => pod.paths.layerRelative(1);

describe.each(KINDS)("%s", (_name, options) => {
  test("the tree of images and directories, with the image's owners", async () => {
    const pod = await startPod(options);
    const over = withLowers(await image(pod), probeLayer(pod));
    expect(await textOf(pod, ["read", "/f"], over)).toBe("image\n");
    expect(await textOf(pod, ["stat", "/f", "/bin/probe"], over)).toMatch(
      /^\/f 100644 5 6 6\n\/bin\/probe 100755 0 0 /,
    );
    pod.addLayer(2, (layer) => writeFileSync(join(layer, "f"), "directory"));
    const under = withLowers(pod.paths.layerRelative(2), await image(pod), probeLayer(pod));
    expect(await textOf(pod, ["read", "/f"], under)).toBe("directory");
  });

  test("every file has one device number, and its inode number stays when it is changed", async () => {
    const pod = await startPod(options);
    pod.addLayer(2, (layer) => writeFileSync(join(layer, "g"), "directory"));
    const lowers = [await image(pod), pod.paths.layerRelative(2), await image(pod, "below"), probeLayer(pod)];
    const container = await pod.start(["sleep"], withLowers(...lowers));
    const at = (name: string) => `${rootOf(container)}/${name}`;
    const inodeOf = (name: string) => lstatSync(at(name), { bigint: true }).ino;
    const devices = ["bin/..", "f", "g", "bin", "bin/probe"].map((name) => lstatSync(at(name)).dev);
    expect(new Set(devices).size).toBe(1);
    const before = ["f", "g", "bin/probe"].map(inodeOf);
    for (const name of ["f", "g"]) writeFileSync(at(name), "changed");
    chmodSync(at("bin/probe"), 0o700);
    expect(["f", "g", "bin/probe"].map(inodeOf)).toEqual(before);
    expect(readdirSync(container.upper).sort()).toEqual(["bin", "dev", "f", "g", "proc", "sys"]);
    const copy = lstatSync(join(container.upper, "f"));
    expect([copy.uid, copy.gid]).toEqual([5, 6]);
  });

  test("an image as a volume, and a part of one", async () => {
    const pod = await startPod(options);
    pod.addLayer(2, (layer) => {
      mkdirSync(join(layer, "sub"));
      writeFileSync(join(layer, "sub/g"), "g");
      chownSync(join(layer, "sub/g"), 7, 8);
    });
    const mount = (containerPath: string, imageSubPath = ""): ContainerMount =>
      volume(containerPath, { hostPath: "", readonly: true, image: DATA, imageSubPath });
    const volumeLowers = new Map([[DATA.imageRef, [await image(pod), pod.paths.layerRelative(2)]]]);
    const run = (...args: string[]) =>
      textOf(pod, args, {
        container: { mounts: [mount("/whole"), mount("/part", "sub"), mount("/file", "f")] },
        input: { volumeLowers },
      });
    expect(await run("stat", "/whole/f", "/whole/sub/g", "/part/g", "/file")).toBe(
      "/whole/f 100644 5 6 6\n/whole/sub/g 100644 7 8 1\n/part/g 100644 7 8 1\n/file 100644 5 6 6\n",
    );
    expect(await run("write", "/whole/f")).toBe("write: EROFS\n");
  });

  test("the container keeps its layers when the daemon's mounts are gone", async () => {
    const pod = await startPod(options);
    const container = await pod.start(["sleep"], withLowers(await image(pod), probeLayer(pod)));
    for (const mount of mounts.splice(0)) closeSync(mount);
    expect(readFileSync(join(rootOf(container), "f"), "utf8")).toBe("image\n");
  });

  test("499 of them", async () => {
    const pod = await startPod(options);
    const lowers: string[] = [];
    while (lowers.length < 498) lowers.push(await image(pod, `${lowers.length}`));
    expect(await textOf(pod, ["read", "/f"], withLowers(...lowers, probeLayer(pod)))).toBe("0");
  });

  test("the host's mount table knows nothing of it", async () => {
    const pod = await startPod(options);
    const table = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(" erofs ") || line.includes(pod.paths.root));
    const before = table();
    await pod.start(["sleep"], withLowers(await image(pod), probeLayer(pod)));
    expect(table()).toEqual(before);
    expect(readdirSync(pod.paths.rootAttach)).toEqual([]);
  });

  test("what is wrong is told: a mount that is gone, and mount(2), which cannot", async () => {
    const pod = await startPod(options);
    const layer = await image(pod);
    const input = { lowers: [layer, probeLayer(pod)], forceLegacyOverlay: true };
    await expect(pod.prepare(["exit", "0"], { input })).rejects.toMatchObject({
      errno: "EOPNOTSUPP",
      path: layer,
    });
    const gone = withLowers("/proc/self/fd/999", probeLayer(pod));
    await expect(pod.prepare(["exit", "0"], gone)).rejects.toMatchObject({ errno: "ENOENT" });
  });

  test("what has the number of a mount that is gone is not taken for a layer", async () => {
    const pod = await startPod(options);
    for (const path of [pod.directory, "/usr/bin/env"]) {
      const fd = openSync(path, "r");
      mounts.push(fd);
      const other = `/proc/${process.pid}/fd/${fd}`;
      await expect(pod.prepare(["exit", "0"], withLowers(other, probeLayer(pod)))).rejects.toMatchObject({
        errno: "ENOENT",
        path: other,
      });
    }
  });
});
