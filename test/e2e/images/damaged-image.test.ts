// Layers that are images in files, damaged in every part: verify names it, nothing hangs or crashes, and what
// a start can see without reading contents it sees.
//
// BERTH_SEED repeats a run.

import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { saveImage } from "../../../src/images/save-image.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { findLayerRow, layersOfImage, setLayerDamage } from "../../../src/store/layers.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { seededRandom } from "../../unit/support/random.ts";
import { hostForms, makeDeps } from "./support/deps.ts";
import { flipByte, partsOf } from "./support/layers.ts";
import { pushUmociImage, treeOf } from "./support/umoci-image.ts";

const SEED = Number(process.env.BERTH_SEED ?? Date.now() % 1e9);
const random = seededRandom(SEED);
const call = backgroundCall();

let folder: string;
let registry: TestRegistry;
let deps: ImageDeps;
let reference: string;
let oracle: string;
let number: number;
let other: number;
let layer: string;
let path: string;
let sound: string;
let parts: { size: number; index: number };

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-damage-");
  registry = await startRegistry();
  reference = `${registry.host}/e2e/app:1`;
  oracle = pushUmociImage(folder, reference);
  if (hostForms.form !== "erofs") return;
  deps = makeDeps(join(folder, "root"), {});
  await pullImage(deps, call, { image: reference });
  [number = 0, other = 0] = listImageRows(deps.store)[0]?.layers ?? [];
  path = deps.paths.layer(number);
  layer = layersOfImage(deps.store, listImageRows(deps.store)[0]?.id ?? "")[0]?.diffId ?? "";
  sound = join(folder, "sound");
  copyFileSync(path, sound);
  parts = partsOf(path);
});
afterAll(async () => {
  await deps?.registry.close();
  deps?.store.close();
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach((context) => context.skip(hostForms.form !== "erofs", hostForms.erofsMissing));

/** What the check of a start and what a full verify say of the layer; then it is whole again. */
async function harmed(harm: () => void): Promise<{ quick: string; full: string; entries: string[] }> {
  harm();
  const verify = async (thorough: boolean) =>
    (await verifyImage(deps, call, { full: thorough })).find(({ diffId }) => diffId === layer);
  try {
    const quick = (await verify(false))?.damage ?? "?";
    setLayerDamage(deps.store, number, null);
    const full = await verify(true);
    const wanted = full?.damage === "" ? reference : null;
    expect(imageStatus(deps, reference)?.repoTags[0] ?? null).toBe(wanted);
    return { quick, full: full?.damage ?? "", entries: full?.entries.map((entry) => entry.path) ?? [] };
  } finally {
    setLayerDamage(deps.store, number, null);
    rmSync(path, { recursive: true });
    copyFileSync(sound, path);
  }
}

const within = (from: number, to: number) => from + Math.floor(random() * (to - from));
const times = (count: number, offset: () => number) => Array.from({ length: count }, offset);

it("every part of an image (seed %#)", { timeout: 120_000 }, async () => {
  const where: [string, number[]][] = [
    ["header", Array.from({ length: 64 }, (_, at) => at)],
    ["behind the header", times(4, () => within(64, 1024))],
    ["superblock", Array.from({ length: 128 }, (_, at) => 1024 + at)],
    ["behind the superblock", times(4, () => within(1152, 4096))],
    ["index", [parts.index, parts.size - 1, ...times(60, () => within(parts.index, parts.size))]],
  ];
  for (const [part, offsets] of where) {
    for (const offset of offsets) {
      const { quick, full } = await harmed(() => flipByte(path, offset));
      expect([quick, full], `${part}, byte ${offset}, seed ${SEED}`).toEqual([
        expect.stringMatching(/damaged/),
        quick,
      ]);
    }
  }
});

it("contents of files: only a full verify reads them, and names the file", async () => {
  // Three quarters of the image are one file.
  const middle = Math.floor(parts.index / 2);
  for (const offset of [middle, ...times(20, () => within(middle - 500_000, middle + 500_000))]) {
    const found = await harmed(() => flipByte(path, offset));
    expect(found, `byte ${offset}, seed ${SEED}`).toEqual({
      quick: "",
      full: '"usr/share/big" has another content than it had',
      entries: ["usr/share/big"],
    });
  }
});

/** Makes the checksums those of what is in the image now. */
function seal(): void {
  const image = readFileSync(path);
  image.writeUInt32LE(crc32(image.subarray(64, 4096)), 56);
  image.writeUInt32LE(crc32(image.subarray(parts.index)), 28);
  image.writeUInt32LE(crc32(image.subarray(0, 60)), 60);
  writeFileSync(path, image);
}

it("an index that makes no sense although its checksum is right", { timeout: 60_000 }, async () => {
  for (const offset of times(60, () => within(parts.index, parts.size))) {
    const { full, entries } = await harmed(() => {
      flipByte(path, offset);
      seal();
    });
    // Some fields, such as times, are not compared; what can be told is told, and the check comes to its end.
    if (full !== "") expect(entries.length > 0 || /damaged/.test(full), full).toBe(true);
  }
});

it.each<[string, () => void]>([
  ["empty", () => truncateSync(path, 0)],
  ["a piece of the header", () => truncateSync(path, 63)],
  ["without its contents", () => truncateSync(path, 4096)],
  ["without its index", () => truncateSync(path, parts.index)],
  ["a byte too short", () => truncateSync(path, parts.size - 1)],
  ["a byte too long", () => truncateSync(path, parts.size + 1)],
  ["another layer's image", () => copyFileSync(deps.paths.layer(other), path)],
  [
    "a link to itself",
    () => {
      rmSync(path);
      symlinkSync(sound, path);
    },
  ],
  [
    "an empty directory",
    () => {
      rmSync(path);
      mkdirSync(path);
    },
  ],
  [
    "a FIFO",
    () => {
      rmSync(path);
      execFileSync("mkfifo", [path]);
    },
  ],
])("%s", async (_what, harm) => {
  const { quick, full } = await harmed(harm);
  expect([quick, full]).toEqual([expect.stringMatching(/./), expect.stringMatching(/./)]);
});

it("nothing is made from it until a repair, which takes a copy that is sound", async () => {
  flipByte(path, parts.index + 100);
  // Whoever saves it before anybody looked finds out.
  const save = async () => {
    const tar = await saveImage(deps, call, { references: [reference], format: "oci" });
    for await (const _ of tar);
  };
  await expect(save()).rejects.toMatchObject({
    code: "DATA_LOSS",
    message: expect.stringContaining("index is damaged"),
  });
  const [lowest] = layersOfImage(deps.store, listImageRows(deps.store)[0]?.id ?? "");
  expect(lowest).toMatchObject({ number, damage: expect.stringContaining("index is damaged") });
  expect(imageStatus(deps, reference)).toBeNull();
  const [repaired] = await repairImage(deps, call, {});
  expect(repaired).toMatchObject({ failure: "", layers: { length: 1 } });
  expect(findLayerRow(deps.store, repaired?.layers[0] ?? "")?.number).not.toBe(number);
  expect(await treeOf(deps, reference, folder)).toBe(oracle);
});
