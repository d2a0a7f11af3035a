import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imagesOf } from "../../../src/config/images.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { rebuildImages } from "../../../src/images/rebuild-images.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { tagImage } from "../../../src/images/tag-image.ts";
import { untagImage } from "../../../src/images/untag-image.ts";
import { setPins } from "../../../src/store/image-refs.ts";
import { idleImages, listImageRows } from "../../../src/store/images.ts";
import { openStore } from "../../../src/store/open.ts";
import { type Bench, makeBench, makeCall } from "./support/bench.ts";
import { fakeLayers } from "./support/fake-layers.ts";
import { makeImage, RegistryServer } from "./support/registry-server.ts";

let registry: RegistryServer;
let bench: Bench;

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  const hosts = { "reg.test": { mirrors: [{ url: registry.url }], plainHttp: true } };
  bench = makeBench(fakeLayers(), { hosts });
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

const pull = (image: string) => pullImage(bench.deps, makeCall(), { image });
const tag = (source: string, target: string) => tagImage(bench.deps, makeCall(), { source, target });
const untag = (reference: string, force = false) => untagImage(bench.deps, makeCall(), { reference, force });
const tagsOf = (reference: string) => imageStatus(bench.deps, reference)?.repoTags;
const releasedAt = (id: string) => idleImages(bench.deps.store).find((image) => image.id === id)?.releasedAt;

describe("tagImage", () => {
  it("adds a name, normalised, and moves one that another image has", async () => {
    const first = makeImage(registry, "a/b", "v1", ["one"]);
    const second = makeImage(registry, "a/c", "v1", ["two"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/c:v1");
    expect(await tag("reg.test/a/b:v1", "mine")).toBe(first.id);
    expect(tagsOf(first.id)).toEqual(["docker.io/library/mine:latest", "reg.test/a/b:v1"]);
    expect(await tag(second.id, "mine")).toBe(second.id);
    expect(tagsOf(first.id)).toEqual(["reg.test/a/b:v1"]);
    expect(releasedAt(first.id)).toBeNull();
    expect(bench.events.map(({ type }) => type).slice(2)).toEqual(["image-tagged", "image-tagged"]);
  });

  it("refuses what is missing or no tag", async () => {
    const { digest } = makeImage(registry, "a/b", "v1", ["one"]);
    await expect(tag("reg.test/a/b:v1", "x")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await pull("reg.test/a/b:v1");
    await expect(tag("reg.test/a/b:v1", `x@${digest}`)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(tag("reg.test/a/b:v1", "Upper")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("untagImage", () => {
  it("takes one name, and the image with the last one", async () => {
    const { id, digest } = makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    await tag(id, "mine");
    expect(await untag("mine")).toEqual({
      imageId: id,
      untagged: ["docker.io/library/mine:latest"],
      removed: false,
    });
    expect(await untag("reg.test/a/b:v1")).toEqual({
      imageId: id,
      untagged: ["reg.test/a/b:v1", `reg.test/a/b@${digest}`],
      removed: true,
    });
    expect(listImageRows(bench.deps.store)).toEqual([]);
    await expect(untag("mine")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("takes an id with several tags only when forced", async () => {
    const { id } = makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    await tag(id, "mine");
    await expect(untag(id)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(await untag(id.slice(7, 19), true)).toMatchObject({ removed: true });
  });

  it("takes a pinned image only when forced; the CRI's RemoveImage takes it", async () => {
    const { id } = makeImage(registry, "a/b", "v1", ["one"]);
    setPins(bench.deps.store, imagesOf({ pinned: ["reg.test/a/*"] }).pinned);
    await pull("reg.test/a/b:v1");
    expect(imageStatus(bench.deps, id)?.pinned).toBe(true);
    await expect(untag("reg.test/a/b:v1")).rejects.toThrow("pins it");
    expect(await untag("reg.test/a/b:v1", true)).toMatchObject({ removed: true });
    await pull("reg.test/a/b:v1");
    await removeImage(bench.deps, makeCall(), id);
    expect(listImageRows(bench.deps.store)).toEqual([]);
  });
});

describe("an image is released", () => {
  it("when its tag moves on, not while a digest was asked for", async () => {
    const first = makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    expect(releasedAt(first.id)).toBeNull();
    makeImage(registry, "a/b", "v1", ["two"]);
    await pull("reg.test/a/b:v1");
    expect(releasedAt(first.id)).toBeGreaterThan(0);
    await pull(`reg.test/a/b@${first.digest}`);
    expect(releasedAt(first.id)).toBeNull();
  });
});

describe("pins", () => {
  it.each([
    ["reg.test/a/b:v1", true],
    ["reg.test/a/b", false],
    ["reg.test/a/b:*", true],
    ["*/a/b:v1", true],
    ["*", true],
    ["reg.test/a/b@sha256:*", true],
    ["reg.test/a/c:*", false],
    ["reg.test/a/[ab]:v[0-9]", true],
    ["reg.test/a/b:v[2-9]", false],
    ["a/b:v1", false],
  ])("%s: %s", async (pattern, pinned) => {
    makeImage(registry, "a/b", "v1", ["one"]);
    setPins(bench.deps.store, imagesOf({ pinned: [pattern] }).pinned);
    const id = await pull("reg.test/a/b:v1");
    expect(imageStatus(bench.deps, id)?.pinned).toBe(pinned);
  });

  it("are completed as references are", () => {
    const patterns = [
      "busybox",
      "busybox:1",
      "user/app*",
      "localhost:5000/x",
      "docker.io/pause*",
      "[::1]:5/x:*",
    ];
    expect(imagesOf({ pinned: patterns }).pinned.map(({ pattern }) => pattern)).toEqual([
      "docker.io/library/busybox:latest",
      "docker.io/library/busybox:1",
      "docker.io/user/app*",
      "localhost:5000/x:latest",
      "docker.io/library/pause*",
      "[[]::1]:5/x:*",
    ]);
  });
});

describe("records", () => {
  it("give the images back to an empty database, with their names", async () => {
    makeImage(registry, "a/b", "v1", ["one", "two"]);
    makeImage(registry, "a/c", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/c:v1");
    await tag("reg.test/a/b:v1", "mine");
    const before = listImageRows(bench.deps.store);
    const empty = { ...bench.deps, store: openStore(":memory:") };
    const report = await rebuildImages(empty, makeCall());
    expect(report).toEqual({ rebuilt: before.map(({ id }) => id), left: 0 });
    expect(listImageRows(empty.store)).toEqual(before);
    empty.store.close();
  });

  it("go with their images", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    const id = await pull("reg.test/a/b:v1");
    expect(readdirSync(bench.deps.paths.imageRecords)).toEqual([`${id.slice(7)}.json`]);
    await removeImage(bench.deps, makeCall(), id);
    expect(readdirSync(bench.deps.paths.imageRecords)).toEqual([]);
  });
});
