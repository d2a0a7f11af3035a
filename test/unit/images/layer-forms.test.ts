// Layers that become images in files, and those that cannot.

import { createHash } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageFsInfo } from "../../../src/images/image-fs-info.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { importImage } from "../../../src/images/import-image.ts";
import { type LayerForms, unusableForm } from "../../../src/images/layer-forms.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { rebuildImages } from "../../../src/images/rebuild-images.ts";
import { refuseDamaged } from "../../../src/images/refuse-damaged.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { layerConditions } from "../../../src/store/layers.ts";
import { mediaTypes } from "../../../src/types/oci-image.ts";
import { type Bench, makeBench, makeCall } from "./support/bench.ts";
import { type FakeLayers, fakeLayers } from "./support/fake-layers.ts";
import { makeImage, RegistryServer } from "./support/registry-server.ts";

let registry: RegistryServer;
let kernel: FakeLayers;
let bench: Bench;

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  kernel = fakeLayers();
  bench = makeBench(kernel, { hosts: {} }, {}, { form: "erofs" });
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

const pull = () => pullImage(bench.deps, makeCall(), { image: `${registry.host}/a/b:v1` });
/** Of the layers, in their order: a file or a directory. */
const forms = () =>
  layerConditions(bench.deps.store).map(({ number }) =>
    lstatSync(bench.deps.paths.layer(number)).isFile() ? "erofs" : "directory",
  );
const damage = () => layerConditions(bench.deps.store).map((layer) => layer.damage);
/** The same disk under another kernel or configuration. */
const asOn = (change: Partial<LayerForms>) => ({
  ...bench.deps,
  layerForms: { ...bench.deps.layerForms, ...change },
});

/** Compresses to about as much: parts of blobs below a mebibyte are not kept. */
const noise = createHash("shake256", { outputLength: 1_600_000 }).update("noise").digest("base64");

it("layers of an image for 32 bits are directories", async () => {
  const architecture = process.arch === "x64" ? "i386" : "armhf";
  makeImage(registry, "a/b", "v1", ["one", "two"], { config: { architecture } });
  await pull();
  expect(forms()).toEqual(["directory", "directory"]);
});

it("pulled and imported layers are images in files, and go with their names", async () => {
  makeImage(registry, "a/b", "v1", ["one", "two"]);
  await pull();
  expect(forms()).toEqual(["erofs", "erofs"]);
  const request = { reference: "imported:1", changes: [], message: "" };
  const tar = (async function* () {
    yield gzipSync(Buffer.alloc(1024, "tar"));
  })();
  await importImage(bench.deps, makeCall(), request, tar);
  expect(forms()).toEqual(["erofs", "erofs", "erofs"]);
  expect((await imageFsInfo(bench.deps)).image[0]?.usedBytes).toBeGreaterThanOrEqual(6 + 1024);
  expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 0, missing: [] });
  for (const name of [`${registry.host}/a/b:v1`, "imported:1"])
    await removeImage(bench.deps, makeCall(), name);
  expect(bench.left()).toEqual({ staging: [], layers: [] });
});

it("the files of an artifact are directories in any case", async () => {
  const blob = registry.addBlob(Buffer.from("file"));
  const config = registry.addBlob(Buffer.from("{}"));
  const describeBlob = ({ digest, bytes }: typeof blob) => ({
    mediaType: "a/b",
    digest,
    size: bytes.length,
  });
  const manifest = { artifactType: "a/b", config: describeBlob(config), layers: [describeBlob(blob)] };
  registry.addManifest("a/b", "v1", { schemaVersion: 2, ...manifest }, mediaTypes.ociManifest);
  await pull();
  expect(forms()).toEqual(["directory"]);
});

describe("a layer that an image cannot hold", () => {
  it("becomes a directory, out of what was kept of its blob", async () => {
    kernel.overflows = (tar) => tar.length > 1_000_000;
    const { layers } = makeImage(registry, "a/b", "v1", [noise, "small"]);
    await pull();
    expect(forms().sort()).toEqual(["directory", "erofs"]);
    expect(kernel.unpacks).toBe(3);
    const asked = registry.paths().filter((path) => path.endsWith(layers[0]?.digest ?? "-"));
    expect(asked).toHaveLength(1);
    const [big] = imageStatus(bench.deps, `${registry.host}/a/b:v1`)?.layers ?? [];
    expect(readFileSync(join(bench.deps.paths.layer(big ?? 0), "content.tar"), "utf8") === noise).toBe(true);
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 2 } });
  });

  it("is fetched again when nothing of it was kept", async () => {
    kernel.overflows = () => true;
    const { layers } = makeImage(registry, "a/b", "v1", ["small"]);
    await pull();
    expect(forms()).toEqual(["directory"]);
    expect(registry.paths().filter((path) => path.endsWith(layers[0]?.digest ?? "-"))).toHaveLength(2);
  });

  it("fails like any other when a directory cannot hold it either", async () => {
    kernel.overflows = () => true;
    const finish = kernel.beforeFinish;
    kernel.beforeFinish = async () => {
      if (kernel.unpacks > 1) throw new Error("no room");
      await finish();
    };
    makeImage(registry, "a/b", "v1", ["small"]);
    await expect(pull()).rejects.toThrow("no room");
    expect(bench.left()).toEqual({ staging: [], layers: [] });
  });
});

describe("on a host that cannot use images in files", () => {
  const cannot = { form: "directory", erofsMissing: "fsopen: ENODEV" } as const;

  it("their layers are damaged, are fetched as directories, and others stay", async () => {
    makeImage(registry, "a/b", "v1", ["one", "two"]);
    await pull();
    const other = asOn(cannot);
    expect(await sweepImages(other, makeCall())).toEqual({ removed: 0, missing: [] });
    expect(damage()).toEqual(Array(2).fill(unusableForm(cannot)));
    const [image] = [...bench.deps.store.prepare("SELECT id FROM images").all()] as { id: string }[];
    expect(imageStatus(other, image?.id ?? "")).toBeNull();
    expect(() => refuseDamaged(bench.deps.store, image as { id: string }, "use it")).toThrow(
      "fsopen: ENODEV",
    );
    const verdicts = await verifyImage(other, makeCall(), { full: true });
    expect(verdicts.map((verdict) => verdict.damage)).toEqual(Array(2).fill(unusableForm(cannot)));
    expect(await repairImage(other, makeCall(), {})).toMatchObject([{ failure: "", layers: { length: 2 } }]);
    expect([damage(), forms()]).toEqual([
      [null, null],
      ["directory", "directory"],
    ]);
    // Directories can be used everywhere.
    expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 0, missing: [] });
    expect(damage()).toEqual([null, null]);
  });

  it("they are sound again when the host can, but for what else is wrong with them", async () => {
    makeImage(registry, "a/b", "v1", ["one", "two"]);
    await pull();
    bench.deps.store.exec("UPDATE layers SET damage = 'bitten by a mouse' WHERE number = 2");
    await sweepImages(asOn(cannot), makeCall());
    await verifyImage(asOn(cannot), makeCall(), { full: true });
    expect(damage()).toEqual([unusableForm(cannot), "bitten by a mouse"]);
    await sweepImages(bench.deps, makeCall());
    expect(damage()).toEqual([null, "bitten by a mouse"]);
    expect(forms()).toEqual(["erofs", "erofs"]);
  });

  it("a database that was lost comes back with them, as damaged", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    await pull();
    bench.deps.store.exec("DELETE FROM image_refs; DELETE FROM image_layers; DELETE FROM images");
    bench.deps.store.exec("DELETE FROM layers");
    expect(await rebuildImages(asOn(cannot), makeCall())).toMatchObject({ left: 0, rebuilt: { length: 1 } });
    await sweepImages(asOn(cannot), makeCall());
    expect(damage()).toEqual([unusableForm(cannot)]);
  });
});
