import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makePaths, type Paths } from "../../../src/paths.ts";
import { LayerMounts } from "../../../src/snapshots/layer-mounts.ts";
import { makeSnapshot } from "../../../src/snapshots/make-snapshot.ts";
import { readImageFile } from "../../../src/snapshots/read-image-file.ts";
import { removeSnapshot } from "../../../src/snapshots/remove-snapshot.ts";
import { fakeLayers } from "../images/support/fake-layers.ts";

let root: string;
let paths: Paths;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-snapshots-"));
  paths = makePaths(root, join(root, "run"), join(root, "sock"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it("makes and removes what the number names, and twice", async () => {
  const made: string[] = [];
  const kernel = { ...fakeLayers(), makeSnapshot: async (path: string) => void made.push(path) };
  await makeSnapshot({ paths, kernel }, 37);
  expect(made).toEqual([join(root, "s/c/11")]);
  mkdirSync(join(paths.snapshot(37), "u"), { recursive: true });
  await removeSnapshot({ paths, kernel }, 37);
  await removeSnapshot({ paths, kernel }, 37);
  expect(existsSync(paths.snapshot(37))).toBe(false);
});

it("reads from the top layer down", async () => {
  const asked: (readonly string[])[] = [];
  const kernel = {
    readBeneath: async (layers: readonly string[]) => {
      asked.push(layers);
      return null;
    },
  };
  for (const number of [1, 2, 3]) mkdirSync(paths.layer(number), { recursive: true });
  const layerMounts = new LayerMounts({ kernel: fakeLayers(), paths });
  expect(await readImageFile({ kernel, layerMounts }, { layers: [1, 2, 3] }, "etc/passwd", 10)).toBeNull();
  expect(asked).toEqual([[paths.layer(3), paths.layer(2), paths.layer(1)]]);
});
