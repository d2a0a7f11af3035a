import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makePaths, type Paths } from "../../../src/paths.ts";
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

it("makes the upper and the work directory, whatever the umask, and twice", async () => {
  const deps = { paths, kernel: fakeLayers() };
  await makeSnapshot(deps, 37);
  writeFileSync(join(paths.snapshot(37), "u", "kept"), "");
  await makeSnapshot(deps, 37);
  const modeOf = (name: string) => statSync(join(root, "s/c/11", name)).mode & 0o7777;
  expect(["u", "w", "u/kept"].map(modeOf).slice(0, 2)).toEqual([0o755, 0o700]);
  await removeSnapshot(deps, 37);
  await removeSnapshot(deps, 37);
  expect(() => statSync(paths.snapshot(37))).toThrow("ENOENT");
});

it("reads from the top layer down", async () => {
  const asked: (readonly string[])[] = [];
  const kernel = {
    readBeneath: async (layers: readonly string[]) => {
      asked.push(layers);
      return null;
    },
  };
  expect(await readImageFile({ kernel, paths }, { layers: [1, 2, 3] }, "etc/passwd", 10)).toBeNull();
  expect(asked).toEqual([[paths.layer(3), paths.layer(2), paths.layer(1)]]);
});
