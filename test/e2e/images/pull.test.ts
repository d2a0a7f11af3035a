// Pulls from a real registry with the real unpacker; umoci says what the tree must be.

import { createReadStream, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageFsInfo } from "../../../src/images/image-fs-info.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { loadImage } from "../../../src/images/load-image.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { readImageFile } from "../../../src/snapshots/read-image-file.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { makeDeps } from "./support/deps.ts";
import {
  describeTree,
  makeUmociImage,
  packLayout,
  pushLayout,
  run,
  treeOf,
  unpackWithUmoci,
  withZstd,
} from "./support/umoci-image.ts";

let registry: TestRegistry;
let folder: string;
let layout: string;
let oracle: string;
let deps: ImageDeps;
let root: string;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-images-");
  registry = await startRegistry();
  layout = makeUmociImage(folder);
  oracle = describeTree(unpackWithUmoci(layout, folder));
  expect(oracle).toContain("./usr/share/big f 4755");
  pushLayout(layout, `${registry.host}/e2e/app:gzip`);
  pushLayout(withZstd(layout, join(folder, "zstd")), `${registry.host}/e2e/app:zstd`);
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  root = mkdtempSync("/tmp/berth-e2e-root-");
  const mirrors = [{ url: `http://${registry.host}` }];
  deps = makeDeps(root, { "registry.k8s.io": { mirrors, plainHttp: false } });
});
afterEach(async () => {
  await deps.registry.close();
  deps.store.close();
  rmSync(root, { recursive: true, force: true });
});

const pull = (image: string) => pullImage(deps, backgroundCall(), { image });
const namesIn = (path: string) => (existsSync(path) ? readdirSync(path) : []);
const layersLeft = () => readdirSync(dirname(deps.paths.layer(0)));

describe("a pull through a mirror", () => {
  it.each(["gzip", "zstd"])("unpacks %s layers to the tree that umoci makes", async (tag) => {
    const reference = `registry.k8s.io/e2e/app:${tag}`;
    const id = await pull(reference);
    expect(imageStatus(deps, reference)).toMatchObject({
      id,
      repoTags: [reference],
      config: { user: "1000:2000" },
    });
    expect(await treeOf(deps, reference, root)).toBe(oracle);
    expect(readdirSync(deps.paths.staging)).toEqual([]);
  });

  it("knows both compressions for one image: the layers are there already", async () => {
    const id = await pull("registry.k8s.io/e2e/app:gzip");
    expect(await pull("registry.k8s.io/e2e/app:zstd")).toBe(id);
    expect(listImageRows(deps.store)).toMatchObject([
      { repoTags: { length: 2 }, repoDigests: { length: 2 } },
    ]);
    expect(layersLeft()).toHaveLength(3);
  });
});

describe("pulls at the same time", () => {
  it("fetch the layers that they share once", async () => {
    const tags = ["gzip", "zstd", "gzip", "zstd"];
    const ids = await Promise.all(tags.map((tag) => pull(`registry.k8s.io/e2e/app:${tag}`)));
    expect(new Set(ids).size).toBe(1);
    expect(layersLeft()).toHaveLength(3);
    expect(readdirSync(deps.paths.staging)).toEqual([]);
  });

  it.each(["wait", "download", "unpack"])("leave nothing when their callers go away at %s", async (phase) => {
    const leaving = new AbortController();
    const call = { ...backgroundCall(), signal: leaving.signal };
    const pulls = ["gzip", "zstd"].map((tag) =>
      pullImage(deps, call, { image: `registry.k8s.io/e2e/app:${tag}` }, (progress) => {
        if (progress.phase === phase) leaving.abort();
      }),
    );
    const results = await Promise.allSettled(pulls);
    expect(results).toMatchObject(results.map(() => ({ status: "rejected", reason: { code: "CANCELLED" } })));
    expect(listImageRows(deps.store)).toEqual([]);
    expect([...namesIn(deps.paths.staging), ...namesIn(dirname(deps.paths.layer(0)))]).toEqual([]);
  });
});

describe("an image on disk", () => {
  it("can be read without mounting it", async () => {
    const id = await pull(`${registry.host}/e2e/app:gzip`);
    const image = imageStatus(deps, id);
    const read = async (path: string) => (await readImageFile(deps, image!, path, 1000))?.toString() ?? null;
    expect(await read("/etc/hard")).toBe("one\n");
    expect(await read("etc/two")).toBeNull();
    expect(await read("usr/share/doc/a")).toBeNull();
    expect(await read("usr/share/doc/c")).toBe("new\n");
    expect(await read("var/lib/empty")).toBe("file\n");
    expect(await read("var/lib/app/a name with spaces")).toBeNull();
  });

  it("is told of in ImageFsInfo, survives the sweep, and goes away wholly", async () => {
    await pull(`${registry.host}/e2e/app:gzip`);
    const [usage] = (await imageFsInfo(deps)).image;
    expect(usage).toMatchObject({ mountpoint: deps.paths.snapshots });
    expect(usage?.usedBytes).toBeGreaterThan(3_000_000);
    const numbers = imageStatus(deps, `${registry.host}/e2e/app:gzip`)?.layers ?? [];
    const paths = numbers.flatMap((number) => [deps.paths.layer(number), deps.paths.layerRecord(number)]);
    const total = (...unit: string[]) =>
      run("du", "-s", ...unit, ...paths)
        .trim()
        .split("\n")
        .reduce((sum, line) => sum + Number.parseInt(line, 10), 0);
    expect(usage?.usedBytes).toBe(total("-B1"));
    expect(usage?.inodesUsed).toBe(total("--inodes"));
    expect(await sweepImages(deps, backgroundCall())).toEqual({ removed: 0, missing: [] });
    await removeImage(deps, backgroundCall(), `${registry.host}/e2e/app:gzip`);
    expect(layersLeft()).toEqual([]);
    expect((await imageFsInfo(deps)).image[0]?.usedBytes).toBe(0);
  });
});

it("says that a tag is not there", async () => {
  await expect(pull(`${registry.host}/e2e/app:none`)).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: expect.stringContaining(`not found in registry "http://${registry.host}"`),
  });
});

it.each([
  ["an OCI layout", (archive: string) => packLayout(layout, archive)],
  [
    "docker save's form",
    (archive: string) =>
      run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        `oci:${layout}:t`,
        `docker-archive:${archive}:e2e/app:loaded`,
      ),
  ],
])("loads %s to the same tree", async (_, make) => {
  const archive = join(root, "archive.tar");
  make(archive);
  const [loaded] = await loadImage(deps, backgroundCall(), createReadStream(archive));
  expect(await treeOf(deps, loaded?.id ?? "", root)).toBe(oracle);
  expect(readdirSync(deps.paths.staging)).toEqual([]);
});
