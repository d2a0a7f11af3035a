// Pushes to a real registry; skopeo says what is there afterwards.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { pushImage } from "../../../src/images/push-image.ts";
import type { PushProgress } from "../../../src/images/push-layer.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { tagImage } from "../../../src/images/tag-image.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { makeDeps } from "./support/deps.ts";
import { harmLayer } from "./support/layers.ts";
import {
  describeTree,
  makeUmociImage,
  pushLayout,
  run,
  treeOf,
  unpackWithUmoci,
} from "./support/umoci-image.ts";

let folder: string;
let oracle: string;
let registry: TestRegistry;
let elsewhere: TestRegistry;
let root: string;
let deps: ImageDeps;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-push-");
  oracle = describeTree(unpackWithUmoci(makeUmociImage(folder), folder));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  [registry, elsewhere] = await Promise.all([startRegistry(), startRegistry()]);
  pushLayout(join(folder, "layout"), `${registry.host}/e2e/app:1`);
  root = mkdtempSync("/tmp/berth-e2e-root-");
  deps = makeDeps(join(root, "a"), {});
});
afterEach(async () => {
  await deps.registry.close();
  deps.store.close();
  await Promise.all([registry.stop(), elsewhere.stop()]);
  rmSync(root, { recursive: true, force: true });
});

const call = backgroundCall();

async function push(target: string) {
  const phases = new Map<string, PushProgress["phase"]>();
  await tagImage(deps, call, { source: `${registry.host}/e2e/app:1`, target });
  const pushed = await pushImage(deps, call, { image: target }, ({ layer, phase }) => {
    if (layer !== "") phases.set(layer, phase);
  });
  return { ...pushed, phases: [...phases.values()] };
}

const digestAt = (reference: string) =>
  (JSON.parse(run("skopeo", "inspect", "--tls-verify=false", `docker://${reference}`)) as { Digest: string })
    .Digest;

it("to another repository of the same registry nothing is sent but the manifest", async () => {
  await pullImage(deps, call, { image: `${registry.host}/e2e/app:1` });
  const target = `${registry.host}/other/name:2`;
  const pushed = await push(target);
  expect(pushed).toMatchObject({ recompressed: [], phases: ["mounted", "mounted", "mounted"] });
  expect(pushed.digest).toBe(digestAt(`${registry.host}/e2e/app:1`));
  expect(digestAt(target)).toBe(pushed.digest);
  expect(imageStatus(deps, target)?.repoDigests).toContain(`${registry.host}/other/name@${pushed.digest}`);
});

it("to another registry the layers are made again: another digest, the same image", async () => {
  const id = await pullImage(deps, call, { image: `${registry.host}/e2e/app:1` });
  const target = `${elsewhere.host}/e2e/app:1`;
  const pushed = await push(target);
  expect(pushed.recompressed).toHaveLength(3);
  expect(pushed.phases).toEqual(["done", "done", "done"]);
  expect(digestAt(target)).toBe(pushed.digest);
  expect(await push(target)).toMatchObject({
    digest: pushed.digest,
    phases: ["present", "present", "present"],
  });
  const other = makeDeps(join(root, "b"), {});
  try {
    expect(await pullImage(other, call, { image: target })).toBe(id);
    expect(await treeOf(other, id, root)).toBe(oracle);
  } finally {
    await other.registry.close();
    other.store.close();
  }
});

it("with kept blobs the pulled manifest goes elsewhere, and a repair needs no registry", async () => {
  const keeping = makeDeps(join(root, "kept"), {}, { keepBlobs: true });
  try {
    const id = await pullImage(keeping, call, { image: `${registry.host}/e2e/app:1` });
    const target = `${elsewhere.host}/e2e/app:1`;
    const pushed = await pushImage(keeping, call, { image: id, target });
    expect(pushed).toMatchObject({ recompressed: [], digest: digestAt(`${registry.host}/e2e/app:1`) });
    await registry.stop();
    const [lowest = 0] = imageStatus(keeping, id)?.layers ?? [];
    harmLayer(keeping.paths.layer(lowest), "usr/share/big");
    await verifyImage(keeping, call, { full: false });
    expect(await repairImage(keeping, call, {})).toMatchObject([{ failure: "", layers: { length: 1 } }]);
    expect(await treeOf(keeping, id, root)).toBe(oracle);
    await removeImage(keeping, call, id);
    expect(readdirSync(join(keeping.paths.blobs, "sha256"))).toEqual([]);
  } finally {
    await keeping.registry.close();
    keeping.store.close();
  }
});

it("says that a registry is not there, and leaves nothing behind", async () => {
  await pullImage(deps, call, { image: `${registry.host}/e2e/app:1` });
  await elsewhere.stop();
  await expect(push(`${elsewhere.host}/e2e/app:1`)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(run("ls", "-A", deps.paths.staging)).toBe("");
});
