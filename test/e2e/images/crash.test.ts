// The daemon dies at every step of a pull: what the next start finds is whole or gone.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { listImages } from "../../../src/images/list-images.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { makeDeps } from "./support/deps.ts";
import { makeUmociImage, pushLayout } from "./support/umoci-image.ts";

let registry: TestRegistry;
let folder: string;
let root: string;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-images-");
  registry = await startRegistry();
  pushLayout(makeUmociImage(folder), `${registry.host}/e2e/app:v1`);
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

it.each([
  ["resolve", "after"],
  ["fetch-config", "after"],
  ["unpack-layers", "before"],
  ["place-layer", "before"],
  ["place-layer", "after"],
  ["unpack-layers", "after"],
  ["commit", "before"],
  ["commit", "after"],
])("death %s %s", async (step, when) => {
  const reference = `${registry.host}/e2e/app:v1`;
  const script = join(import.meta.dirname, "support/pull-and-die.ts");
  const died = spawnSync(process.execPath, [script, root, reference, step, when], { encoding: "utf8" });
  expect(died.signal, died.stderr).toBe("SIGKILL");
  const deps = makeDeps(root, {});
  try {
    await sweepImages(deps, backgroundCall());
    const committed = step === "commit" && when === "after";
    const before = listImages(deps);
    expect(before).toHaveLength(committed ? 1 : 0);
    const id = await pullImage(deps, backgroundCall(), { image: reference });
    expect(listImages(deps)).toMatchObject([{ id, layers: { length: 3 } }]);
    expect(namesIn(deps.paths.staging)).toEqual([]);
    expect(namesIn(dirname(deps.paths.layer(0)))).toHaveLength(3);
    expect(await sweepImages(deps, backgroundCall())).toEqual({ removed: 0, missing: [] });
  } finally {
    await deps.registry.close();
    deps.store.close();
  }
});
