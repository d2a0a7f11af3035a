// Layers that are damaged on disk: found, not served, mended from the registry.

import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { saveImage } from "../../../src/images/save-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { retiredLayers } from "../../../src/store/retired-layers.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { addContainer } from "../../unit/images/support/bench.ts";
import { makeDeps } from "./support/deps.ts";
import { describeTree, makeUmociImage, pushLayout, treeOf, unpackWithUmoci } from "./support/umoci-image.ts";

let folder: string;
let oracle: string;
let registry: TestRegistry;
let root: string;
let deps: ImageDeps;
let reference: string;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-damage-");
  registry = await startRegistry();
  const layout = makeUmociImage(folder);
  oracle = describeTree(unpackWithUmoci(layout, folder));
  reference = `${registry.host}/e2e/app:1`;
  pushLayout(layout, reference);
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  root = mkdtempSync("/tmp/berth-e2e-root-");
  deps = makeDeps(root, {});
  await pullImage(deps, call, { image: reference });
});
afterEach(async () => {
  await deps.registry.close();
  deps.store.close();
  rmSync(root, { recursive: true, force: true });
});

const call = backgroundCall();
const verify = (full: boolean) => verifyImage(deps, call, { full });
const repair = () => repairImage(deps, call, {});
const fileOf = (path: string) => join(deps.paths.layer(listImageRows(deps.store)[0]?.layers[0] ?? 0), path);

it("finds nothing in sound layers", async () => {
  for (const full of [false, true]) {
    expect(await verify(full)).toMatchObject(Array(3).fill({ damage: "", images: [reference] }));
  }
  expect(await repair()).toEqual([]);
});

describe.each([
  ["an empty file", false, () => truncateSync(fileOf("usr/share/big"), 0), "usr/share/big"],
  ["a missing file", false, () => rmSync(fileOf("etc/one")), "etc/one"],
  ["a file of somebody else", false, () => writeFileSync(fileOf("etc/evil"), "x"), "etc/evil"],
  ["changed contents", true, () => writeFileSync(fileOf("etc/two"), "abc\n", { flag: "r+" }), "etc/two"],
])("%s", (_, full, damage, path) => {
  it("is found, keeps the image from use, and is mended", async () => {
    damage();
    const verdicts = await verify(full);
    expect(verdicts.filter((verdict) => verdict.damage !== "")).toMatchObject([
      {
        damage: expect.stringContaining(path),
        entries: expect.arrayContaining([expect.objectContaining({ path })]),
      },
    ]);
    expect(imageStatus(deps, reference)).toBeNull();
    await expect(saveImage(deps, call, { references: [reference], format: "oci" })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
    expect(await repair()).toMatchObject([
      { name: reference, failure: "", layers: { length: 1 }, containers: [] },
    ]);
    expect(treeOf(deps, reference, root)).toBe(oracle);
    expect(await verify(true)).toMatchObject(Array(3).fill({ damage: "" }));
    expect(readdirSync(join(deps.paths.layer(0), ".."))).toHaveLength(3);
    expect(await sweepImages(deps, call)).toEqual({ removed: 0, missing: [] });
  });
});

it("a pull mends as well", async () => {
  truncateSync(fileOf("usr/share/big"), 0);
  await verify(false);
  await pullImage(deps, call, { image: reference });
  expect(treeOf(deps, reference, root)).toBe(oracle);
});

it("a damaged copy stays for the containers that were made from it", async () => {
  const [image] = listImageRows(deps.store);
  const old = image?.layers[0] ?? 0;
  addContainer(deps.store, "c1", image?.id ?? "");
  truncateSync(fileOf("usr/share/big"), 0);
  await verify(false);
  expect(await repair()).toMatchObject([{ failure: "", containers: ["c1"] }]);
  expect(retiredLayers(deps.store)).toEqual([old]);
  expect(readdirSync(deps.paths.layer(old))).toContain("etc");
  expect(await sweepImages(deps, call)).toEqual({ removed: 0, missing: [] });
  deps.store.exec("DELETE FROM containers");
  expect(await sweepImages(deps, call)).toMatchObject({ missing: [] });
  expect(readdirSync(join(deps.paths.layer(0), ".."))).toHaveLength(3);
  expect(treeOf(deps, reference, root)).toBe(oracle);
});

it("without the registry everything stays as it is", async () => {
  truncateSync(fileOf("usr/share/big"), 0);
  await verify(false);
  const other = await startRegistry();
  await other.stop();
  deps.store.prepare("UPDATE image_refs SET ref = replace(ref, ?, ?)").run(registry.host, other.host);
  expect(await repair()).toMatchObject([
    { layers: [], failure: expect.stringContaining("RegistryUnavailable") },
  ]);
  expect(readdirSync(join(deps.paths.layer(0), ".."))).toHaveLength(3);
  expect(readdirSync(deps.paths.staging)).toEqual([]);
});
