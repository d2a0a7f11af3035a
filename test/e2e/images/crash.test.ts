// The daemon dies at every step of a pull: what the next start finds is whole or gone.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { checkLayers } from "../../../src/images/check-layers.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { listBlobs } from "../../../src/store/blobs.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { makeArtifact, pushArtifact } from "../../images/artifact.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { hostForms, makeDeps, usableForms } from "./support/deps.ts";
import { harmLayer } from "./support/layers.ts";
import { makeUmociImage, pushLayout } from "./support/umoci-image.ts";

let registry: TestRegistry;
let folder: string;
let root: string;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-images-");
  registry = await startRegistry();
  pushLayout(makeUmociImage(folder), `${registry.host}/e2e/app:v1`);
  const files = ["one", "deep/er/two", "three"].map((title) => ({
    title,
    bytes: Buffer.from(title.repeat(9)),
  }));
  await pushArtifact(registry.host, "e2e/artifact:v1", makeArtifact(files));
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  root = mkdtempSync("/tmp/berth-e2e-root-");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const namesIn = (path: string) => readdirSync(path, { withFileTypes: true }).map(({ name }) => name);

function die(reference: string, step: string, when: string, form: string, ...more: string[]): void {
  const script = join(import.meta.dirname, "support/pull-and-die.ts");
  const args = [script, root, reference, step, when, form, ...more];
  const died = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(died.signal, died.stderr).toBe("SIGKILL");
}

/** The blobs of files are never kept: the files are the blobs. */
describe.each([
  ["an image", "e2e/app:v1", 3],
  ["an artifact", "e2e/artifact:v1", 0],
])("a pull of %s", (_, name, kept) => {
  it.each([
    ["resolve", "after"],
    ["fetch-config", "after"],
    ["unpack-layers", "before"],
    ["place-layer", "before"],
    ["place-layer", "after"],
    ["unpack-layers", "after"],
    ["keep-blobs", "after"],
    ["commit", "before"],
    ["commit", "after"],
    ["record", "before"],
    ["record", "after"],
  ])("death %s %s", async (step, when) => {
    const reference = `${registry.host}/${name}`;
    die(reference, step, when, hostForms.form);
    const deps = makeDeps(root, {}, { keepBlobs: true });
    try {
      await sweepImages(deps, backgroundCall());
      const committed = (step === "commit" && when === "after") || step === "record";
      const before = listImageRows(deps.store);
      expect(before).toHaveLength(committed ? 1 : 0);
      const id = await pullImage(deps, backgroundCall(), { image: reference });
      expect(listImageRows(deps.store)).toMatchObject([{ id, layers: { length: 3 } }]);
      expect(namesIn(deps.paths.staging)).toEqual([]);
      expect(namesIn(dirname(deps.paths.layer(0)))).toHaveLength(3);
      expect(namesIn(join(deps.paths.blobs, "sha256"))).toHaveLength(kept);
      expect(listBlobs(deps.store)).toHaveLength(kept);
      await checkLayers(deps, backgroundCall());
      expect(namesIn(deps.paths.imageRecords)).toEqual([`${id.slice("sha256:".length)}.json`]);
      expect(await sweepImages(deps, backgroundCall())).toEqual({ removed: 0, missing: [] });
    } finally {
      await deps.registry.close();
      deps.store.close();
    }
  });
});

const deaths = [
  ["unpack-layers", "before"],
  ["place-layer", "before"],
  ["place-layer", "after"],
  ["record-layer", "after"],
  ["commit", "before"],
  ["commit", "after"],
] as const;

it.each(usableForms.flatMap((form) => deaths.map(([step, when]) => [step, when, form] as const)))(
  "death %s %s of a repair (%s) leaves the damaged layer or the mended one",
  async (step, when, form) => {
    const reference = `${registry.host}/e2e/app:v1`;
    const begin = makeDeps(root, {}, { form });
    await pullImage(begin, backgroundCall(), { image: reference });
    const [image] = listImageRows(begin.store);
    harmLayer(begin.paths.layer(image?.layers[0] ?? 0), "usr/share/big");
    await verifyImage(begin, backgroundCall(), { full: false });
    await begin.registry.close();
    begin.store.close();
    die(reference, step, when, form, "repair");
    const deps = makeDeps(root, {}, { form });
    try {
      await sweepImages(deps, backgroundCall());
      const verdicts = await verifyImage(deps, backgroundCall(), { full: true });
      const sound = verdicts.every(({ damage }) => damage === "");
      expect(imageStatus(deps, reference) === null).toBe(!sound);
      await repairImage(deps, backgroundCall(), {});
      expect(imageStatus(deps, reference)?.id).toBe(image?.id);
      expect(await verifyImage(deps, backgroundCall(), { full: true })).toMatchObject(
        Array(3).fill({ damage: "" }),
      );
      expect(namesIn(dirname(deps.paths.layer(0)))).toHaveLength(3);
      expect(namesIn(dirname(deps.paths.layerRecord(0)))).toHaveLength(3);
    } finally {
      await deps.registry.close();
      deps.store.close();
    }
  },
);
