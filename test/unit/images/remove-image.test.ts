import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageFsInfo } from "../../../src/images/image-fs-info.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { listImages } from "../../../src/images/list-images.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { refuseDamaged } from "../../../src/images/refuse-damaged.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { resolveImage } from "../../../src/images/resolve-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { sweepUnneeded } from "../../../src/images/sweep-unneeded.ts";
import { readImageFile } from "../../../src/snapshots/read-image-file.ts";
import { findBlob, holdBlobs, insertBlob } from "../../../src/store/blobs.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { addContainer, type Bench, makeBench, makeCall } from "./support/bench.ts";
import { type FakeLayers, fakeLayers, sha256 } from "./support/fake-layers.ts";
import { makeImage, RegistryServer } from "./support/registry-server.ts";

let registry: RegistryServer;
let kernel: FakeLayers;
let bench: Bench;

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  kernel = fakeLayers();
  bench = makeBench(kernel, { hosts: { "reg.test": { mirrors: [{ url: registry.url }], plainHttp: true } } });
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

const pull = (image: string) => pullImage(bench.deps, makeCall(), { image });
const remove = (reference: string) => removeImage(bench.deps, makeCall(), reference);

describe("resolveImage", () => {
  it("finds an image by everything that names it", async () => {
    const { id, digest } = makeImage(registry, "library/busybox", "latest", ["one"]);
    await pullImage(bench.deps, makeCall(), { image: `${registry.host}/library/busybox` });
    const hex = id.slice("sha256:".length);
    const names = [id, hex, hex.slice(0, 6), `sha256:${hex.slice(0, 12)}`];
    for (const name of [
      ...names,
      `${registry.host}/library/busybox`,
      `${registry.host}/library/busybox@${digest}`,
    ]) {
      expect(resolveImage(bench.deps.store, name)?.id, name).toBe(id);
    }
    for (const name of ["busybox", hex.slice(0, 5), `sha256:${"0".repeat(64)}`, "ffffff"]) {
      expect(resolveImage(bench.deps.store, name), name).toBeNull();
    }
    expect(await listImages(bench.deps, id)).toHaveLength(1);
    expect(await listImages(bench.deps, "reg.test/none")).toEqual([]);
    expect(() => resolveImage(bench.deps.store, "Not valid")).toThrow("parse image reference");
  });
});

describe("removeImage", () => {
  it("removes every name of the image, and its layers", async () => {
    makeImage(registry, "a/b", "v1", ["one", "two"]);
    makeImage(registry, "a/c", "v2", ["one", "two"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/c:v2");
    expect(listImageRows(bench.deps.store)).toMatchObject([
      { repoTags: ["reg.test/a/b:v1", "reg.test/a/c:v2"] },
    ]);
    await remove("reg.test/a/c:v2");
    expect(imageStatus(bench.deps, "reg.test/a/b:v1")).toBeNull();
    expect(bench.left()).toEqual({ staging: [], layers: [] });
    expect(bench.events.map(({ type }) => type)).toEqual(["image-pulled", "image-pulled", "image-removed"]);
  });

  it("keeps layers that another image has", async () => {
    makeImage(registry, "a/b", "v1", ["shared", "two"]);
    makeImage(registry, "a/c", "v1", ["shared"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/c:v1");
    await remove("reg.test/a/b:v1");
    expect(bench.left().layers).toHaveLength(1);
    const [number] = imageStatus(bench.deps, "reg.test/a/c:v1")!.layers;
    const record = statSync(bench.deps.paths.layerRecord(number!)).blocks * 512;
    expect((await imageFsInfo(bench.deps)).image).toMatchObject([
      { usedBytes: "shared".length + record, inodesUsed: 2 },
    ]);
  });

  it("succeeds five times at once, and when there is nothing to remove", async () => {
    const { id } = makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    await Promise.all([1, 2, 3, 4, 5].map(() => remove(id)));
    await remove("reg.test/a/b:v1");
    expect(listImageRows(bench.deps.store)).toEqual([]);
  });

  it("refuses an image in use, and names the containers", async () => {
    const { id } = makeImage(registry, "a/b", "v1", ["one"]);
    makeImage(registry, "a/volume", "v1", ["two"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/volume:v1");
    addContainer(bench.deps.store, "c1", id, [
      { image: { image: "reg.test/a/volume:v1" } },
      { hostPath: "/x" },
    ]);
    for (const reference of ["reg.test/a/b:v1", "reg.test/a/volume:v1"]) {
      await expect(remove(reference)).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        message: `remove image "${reference}": container "c1" (created) uses it; remove the container first`,
      });
    }
    for (const name of ["c2", "c3", "c4", "c5", "c6"]) addContainer(bench.deps.store, name, id);
    bench.deps.store.exec("UPDATE containers SET started_at = 2 WHERE id >= 'c3'");
    bench.deps.store.exec("UPDATE containers SET finished_at = 3 WHERE id = 'c6'");
    await expect(remove(id)).rejects.toThrow(
      `remove image "${id}": containers "c3" (running), "c4" (running), "c5" (running), "c1" (created), ` +
        "and 2 more use it; remove these containers first",
    );
    expect(listImageRows(bench.deps.store)).toHaveLength(2);
  });

  it("leaves the layers that a running pull needs", async () => {
    makeImage(registry, "a/b", "v1", ["shared"]);
    makeImage(registry, "a/c", "v1", ["shared", "two"]);
    await pull("reg.test/a/b:v1");
    const arrived = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    kernel.beforeFinish = () => {
      arrived.resolve();
      return held.promise;
    };
    const running = pull("reg.test/a/c:v1");
    await arrived.promise;
    await remove("reg.test/a/b:v1");
    held.resolve();
    await running;
    expect(bench.left().layers).toHaveLength(2);
    const image = imageStatus(bench.deps, "reg.test/a/c:v1");
    expect(await readImageFile(bench.deps, image!, "content.tar", 100)).toEqual(Buffer.from("two"));
  });
});

it("a kept blob that running work needs stays until nobody does", async () => {
  const { store, desk, paths } = bench.deps;
  makeImage(registry, "a/b", "v1", ["one"]);
  const id = await pull("reg.test/a/b:v1");
  const digests = ["a", "b"].map((letter) => `sha256:${letter.repeat(64)}` as const);
  for (const digest of digests) insertBlob(store, { digest, size: 1, createdAt: 1 });
  holdBlobs(store, id, digests);
  mkdirSync(dirname(paths.blob(digests[0]!)), { recursive: true });
  for (const digest of digests) writeFileSync(paths.blob(digest), "x");
  const left = () =>
    digests.map((digest) => [findBlob(store, digest) !== undefined, existsSync(paths.blob(digest))]);
  desk.hold(digests[0]!);
  await remove(id);
  await sweepUnneeded(bench.deps, makeCall().log);
  expect(left()).toEqual([
    [true, true],
    [false, false],
  ]);
  desk.release(digests[0]!);
  await sweepUnneeded(bench.deps, makeCall().log);
  expect(left()).toEqual([
    [false, false],
    [false, false],
  ]);
});

describe("sweepImages", () => {
  it("changes nothing that is right", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 0, missing: [] });
    expect(listImageRows(bench.deps.store)).toHaveLength(1);
  });

  it("works before anything was pulled", async () => {
    expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 0, missing: [] });
  });

  it("empties staging and removes layers without a row", async () => {
    const { paths } = bench.deps;
    makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    mkdirSync(join(paths.staging, "layer-x", "deep"), { recursive: true });
    writeFileSync(join(paths.staging, "file"), "");
    mkdirSync(paths.layer(77));
    expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 3, missing: [] });
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 1 } });
  });

  it("takes an image that misses a layer for absent until it is pulled again", async () => {
    const { id } = makeImage(registry, "a/b", "v1", ["one", "two"]);
    makeImage(registry, "a/c", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/c:v1");
    const broken = imageStatus(bench.deps, "reg.test/a/b:v1");
    rmSync(bench.deps.paths.layer(broken!.layers[1]!), { recursive: true });
    expect(await sweepImages(bench.deps, makeCall())).toEqual({
      removed: 0,
      missing: [sha256(Buffer.from("two"))],
    });
    expect(imageStatus(bench.deps, "reg.test/a/b:v1")).toBeNull();
    expect(() => refuseDamaged(bench.deps.store, broken!, "use it")).toThrow("it is missing on disk");
    expect(imageStatus(bench.deps, "reg.test/a/c:v1")).not.toBeNull();
    expect(await pull("reg.test/a/b:v1")).toBe(id);
    const mended = imageStatus(bench.deps, "reg.test/a/b:v1");
    expect(mended).toMatchObject({ repoTags: ["reg.test/a/b:v1"], layers: { length: 2 } });
    expect(await readImageFile(bench.deps, mended!, "content.tar", 100)).toEqual(Buffer.from("two"));
    expect(kernel.unpacks).toBe(3);
    // The record of the layer that was missing.
    expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 1, missing: [] });
  });
});
