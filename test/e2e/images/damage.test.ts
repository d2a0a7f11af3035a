// Layers that are damaged on disk: found, not served, mended from the registry.

import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { saveImage } from "../../../src/images/save-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import type { LayerForm } from "../../../src/kernel/kernel.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { retiredLayers } from "../../../src/store/retired-layers.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { addContainer } from "../../unit/images/support/bench.ts";
import { makeDeps, usableForms } from "./support/deps.ts";
import { harmLayer } from "./support/layers.ts";
import { pushUmociImage, treeOf } from "./support/umoci-image.ts";

let folder: string;
let oracle: string;
let registry: TestRegistry;
let root: string;
let deps: ImageDeps;
let reference: string;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-damage-");
  registry = await startRegistry();
  reference = `${registry.host}/e2e/app:1`;
  oracle = pushUmociImage(folder, reference);
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  root = mkdtempSync("/tmp/berth-e2e-root-");
});
afterEach(async () => {
  await deps.registry.close();
  deps.store.close();
  rmSync(root, { recursive: true, force: true });
});

async function begin(form: LayerForm): Promise<void> {
  deps = makeDeps(root, {}, { form });
  await pullImage(deps, call, { image: reference });
}

const call = backgroundCall();
const verify = (full: boolean) => verifyImage(deps, call, { full });
const repair = () => repairImage(deps, call, {});
const lowest = () => deps.paths.layer(listImageRows(deps.store)[0]?.layers[0] ?? 0);
const fileOf = (path: string) => join(lowest(), path);

/** Nothing is made from the damaged image until it is repaired, and then it is what it was. */
async function expectMended(): Promise<void> {
  expect(imageStatus(deps, reference)).toBeNull();
  await expect(saveImage(deps, call, { references: [reference], format: "oci" })).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
  });
  expect(await repair()).toMatchObject([
    { name: reference, failure: "", layers: { length: 1 }, containers: [] },
  ]);
  expect(await treeOf(deps, reference, root)).toBe(oracle);
  expect(await verify(true)).toMatchObject(Array(3).fill({ damage: "" }));
  expect(readdirSync(join(deps.paths.layer(0), ".."))).toHaveLength(3);
  expect(await sweepImages(deps, call)).toEqual({ removed: 0, missing: [] });
}

describe.each([
  ["an empty file", false, () => truncateSync(fileOf("usr/share/big"), 0), "usr/share/big"],
  ["a missing file", false, () => rmSync(fileOf("etc/one")), "etc/one"],
  ["a file of somebody else", false, () => writeFileSync(fileOf("etc/evil"), "x"), "etc/evil"],
  ["changed contents", true, () => writeFileSync(fileOf("etc/two"), "abc\n", { flag: "r+" }), "etc/two"],
])("%s in a directory", (_, full, damage, path) => {
  it("is found, keeps the image from use, and is mended", async () => {
    await begin("directory");
    damage();
    const verdicts = await verify(full);
    expect(verdicts.filter((verdict) => verdict.damage !== "")).toMatchObject([
      {
        damage: expect.stringContaining(path),
        entries: expect.arrayContaining([expect.objectContaining({ path })]),
      },
    ]);
    await expectMended();
  });
});

describe.each(usableForms)("a layer as %s", (form) => {
  beforeEach(() => begin(form));

  it("finds nothing in sound layers", async () => {
    for (const full of [false, true]) {
      expect(await verify(full)).toMatchObject(Array(3).fill({ damage: "", images: [reference] }));
    }
    expect(await repair()).toEqual([]);
  });

  it("a pull mends as well", async () => {
    harmLayer(lowest(), "usr/share/big");
    await verify(false);
    await pullImage(deps, call, { image: reference });
    expect(await treeOf(deps, reference, root)).toBe(oracle);
  });

  it("one that is gone is noted at the start, and mended", async () => {
    rmSync(lowest(), { recursive: true });
    expect(await sweepImages(deps, call)).toMatchObject({ missing: { length: 1 } });
    expect(await verify(true)).toMatchObject([{ damage: expect.stringContaining("ENOENT") }, {}, {}]);
    await expectMended();
  });

  it("a damaged copy stays for the containers that were made from it", async () => {
    const [image] = listImageRows(deps.store);
    const old = image?.layers[0] ?? 0;
    addContainer(deps.store, "c1", image?.id ?? "");
    harmLayer(lowest(), "usr/share/big");
    await verify(false);
    expect(await repair()).toMatchObject([{ failure: "", containers: ["c1"] }]);
    expect(retiredLayers(deps.store)).toEqual([old]);
    expect(existsSync(deps.paths.layer(old))).toBe(true);
    expect(await sweepImages(deps, call)).toEqual({ removed: 0, missing: [] });
    deps.store.exec("DELETE FROM containers");
    expect(await sweepImages(deps, call)).toMatchObject({ missing: [] });
    expect(readdirSync(join(deps.paths.layer(0), ".."))).toHaveLength(3);
    expect(await treeOf(deps, reference, root)).toBe(oracle);
  });

  it("without the registry everything stays as it is", async () => {
    harmLayer(lowest(), "usr/share/big");
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
});
