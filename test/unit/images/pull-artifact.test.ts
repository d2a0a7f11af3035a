// Artifacts from a registry that misbehaves: what is refused leaves nothing.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { annotationKeys, mediaTypes } from "../../../src/types/oci-image.ts";
import { type Bench, makeBench, makeCall, testLimits } from "./support/bench.ts";
import { type FakeLayers, fakeLayers, sha256 } from "./support/fake-layers.ts";
import { RegistryServer } from "./support/registry-server.ts";

const TYPE = "application/vnd.test.files";

let registry: RegistryServer;
let kernel: FakeLayers;
let bench: Bench;

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  kernel = fakeLayers();
  bench = makeBench(kernel);
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

const pull = () => pullImage(bench.deps, makeCall(), { image: `${registry.host}/a/b:v1` });

function describeBlob(bytes: Buffer, title?: string) {
  const { digest } = registry.addBlob(bytes);
  const annotations = title === undefined ? {} : { annotations: { [annotationKeys.title]: title } };
  return { mediaType: "a/b", digest, size: bytes.length, ...annotations };
}

function put(layers: object[], changes: object = {}) {
  const config = { ...describeBlob(Buffer.from("{}")), mediaType: mediaTypes.ociEmpty };
  const manifest = { schemaVersion: 2, artifactType: TYPE, config, layers, ...changes };
  return registry.addManifest("a/b", "v1", manifest, mediaTypes.ociManifest);
}

function expectNothing() {
  expect(bench.left()).toEqual({ staging: [], layers: [] });
  expect(listImageRows(bench.deps.store)).toEqual([]);
  expect(bench.deps.store.prepare("SELECT count(*) AS n FROM layers").get()).toEqual({ n: 0 });
  expect(bench.events).toEqual([]);
}

it("each blob is handed to the unpacker as a file", async () => {
  const { digest } = put([
    describeBlob(Buffer.from("\x1f\x8b no gzip", "latin1"), "x/y"),
    describeBlob(Buffer.from("two")),
  ]);
  expect(await pull()).toBe(digest);
  const image = imageStatus(bench.deps, digest);
  const files = image?.layers.map((n) =>
    readFileSync(join(bench.deps.paths.layer(n), "content.tar"), "latin1"),
  );
  expect(files).toEqual([
    '{"name":"x/y","size":10,"mtime":0}\x1f\x8b no gzip',
    `{"name":"${sha256(Buffer.from("two")).replace(":", "-")}","size":3,"mtime":0}two`,
  ]);
  expect(image).toMatchObject({ artifact: { type: TYPE }, architecture: "", os: "", configJson: "" });
});

it("what is embedded in a descriptor need not be fetched, and must be right", async () => {
  const bytes = Buffer.from("embedded");
  const config = { mediaType: "a/config", digest: sha256(bytes), size: bytes.length };
  put([], { config: { ...config, data: Buffer.from("embadded").toString("base64") } });
  await expect(pull()).rejects.toMatchObject({ code: "DATA_LOSS" });
  expectNothing();
  const { digest } = put([], { config: { ...config, data: bytes.toString("base64") } });
  expect(await pull()).toBe(digest);
  expect(registry.paths().filter((path) => path.includes("/blobs/"))).toEqual([]);
});

it("two pulls at once fetch it once", async () => {
  put([describeBlob(Buffer.from("one"), "1")]);
  const other = registry.manifests.get("a/b/v1") as { type: string; bytes: Buffer };
  registry.manifests.set("a/b/v2", other);
  const ids = await Promise.all([
    pull(),
    pullImage(bench.deps, makeCall(), { image: `${registry.host}/a/b:v2` }),
  ]);
  expect(ids[0]).toBe(ids[1]);
  expect(kernel.unpacks).toBe(1);
  expect(imageStatus(bench.deps, ids[0])?.repoTags).toHaveLength(2);
});

describe("refused, with nothing left", () => {
  it.each([
    ["a title that leads elsewhere", ["../../etc/passwd"], "DATA_LOSS", '".." is no name of a file'],
    ["an absolute title", ["/etc/passwd"], "DATA_LOSS", "it is absolute"],
    ["a title for two blobs", ["a", "a"], "DATA_LOSS", "has the same"],
    ["a file below a file", ["a", "a/b"], "DATA_LOSS", "lies below the file"],
    ["a whiteout", [".wh.a"], "UNIMPLEMENTED", "mean removals"],
    [
      "too many blobs",
      Array.from({ length: 9 }, (_, n) => `${n}`),
      "RESOURCE_EXHAUSTED",
      "9 blobs, the limit is 8",
    ],
  ])("%s", async (_, titles, code, message) => {
    put(titles.map((title, n) => describeBlob(Buffer.from(`${n}`), title)));
    await expect(pull()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    expect(registry.paths().filter((path) => path.includes("/blobs/")).length).toBeLessThan(2);
    expectNothing();
  });

  it("a blob that is not what its digest says", async () => {
    const blob = describeBlob(Buffer.from("right"), "x");
    registry.blobs.set(blob.digest, Buffer.from("wrong"));
    put([describeBlob(Buffer.from("fine"), "y"), blob]);
    await expect(pull()).rejects.toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining(blob.digest),
    });
    expectNothing();
  });

  it.each([["shorter"], ["longer than declared, and more"]])("a blob that is %s", async (text) => {
    put([{ ...describeBlob(Buffer.from(text), "x"), size: 10 }]);
    await expect(pull()).rejects.toThrow();
    expectNothing();
  });

  it("a blob that is larger than a layer may be, before a byte of it", async () => {
    const blob = { ...describeBlob(Buffer.from("x"), "x"), size: testLimits.maxLayerUnpackedBytes + 1 };
    put([blob]);
    await expect(pull()).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expect(registry.paths().some((path) => path.endsWith(blob.digest))).toBe(false);
    expectNothing();
  });

  it("a config that is larger than it may be", async () => {
    const config = {
      mediaType: "a/b",
      digest: sha256(Buffer.from("x")),
      size: testLimits.maxConfigBytes + 1,
    };
    put([], { config });
    await expect(pull()).rejects.toMatchObject({ code: "DATA_LOSS" });
    expectNothing();
  });

  it("an artifact whose manifest is the config of an image that is here, and the other way", async () => {
    const rootfs = { type: "layers", diff_ids: [] };
    const layers = [describeBlob(Buffer.from("x"), "x")];
    // All that either of the two must have.
    const twin = put(layers, {
      rootfs,
      os: "linux",
      architecture: process.arch === "x64" ? "amd64" : "arm64",
    });
    registry.blobs.set(twin.digest, twin.bytes);
    const config = { mediaType: mediaTypes.ociConfig, digest: twin.digest, size: twin.bytes.length };
    const image = { schemaVersion: 2, config, layers: [] };
    registry.addManifest("a/image", "v1", image, mediaTypes.ociManifest);
    const pullTwin = () => pullImage(bench.deps, makeCall(), { image: `${registry.host}/a/image:v1` });
    expect(await pullTwin()).toBe(twin.digest);
    await expect(pull()).rejects.toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining("of an image here"),
    });
    expect(imageStatus(bench.deps, twin.digest)).toMatchObject({ artifact: null, layers: [] });
    expect(bench.left()).toEqual({ staging: [], layers: [] });
    bench.deps.store.exec("DELETE FROM images");
    expect(await pull()).toBe(twin.digest);
    await expect(pullTwin()).rejects.toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining("of an artifact here"),
    });
  });

  it("a digest that nobody can compute", async () => {
    put([{ mediaType: "a/b", digest: "blake3:0011", size: 1 }]);
    await expect(pull()).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    expectNothing();
  });
});
