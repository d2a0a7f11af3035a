import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { imagesOf } from "../../../src/config/images.ts";
import { collectImages } from "../../../src/images/collect-images.ts";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { ImageCollector } from "../../../src/images/image-collector.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { SnapshotRoom } from "../../../src/images/measure-layers.ts";
import { pruneImages } from "../../../src/images/prune-images.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { tagImage } from "../../../src/images/tag-image.ts";
import { setPins } from "../../../src/store/image-refs.ts";
import { listImageRows, markLocal } from "../../../src/store/images.ts";
import type { BerthConfig } from "../../../src/types/config.ts";
import { addContainer, type Bench, makeBench, makeCall, testLimits } from "./support/bench.ts";
import { type FakeLayers, fakeLayers } from "./support/fake-layers.ts";
import { makeImage, RegistryServer } from "./support/registry-server.ts";

let registry: RegistryServer;
let kernel: FakeLayers;
let bench: Bench;

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  kernel = fakeLayers();
  const hosts = { "reg.test": { mirrors: [{ url: registry.url }], plainHttp: true } };
  bench = makeBench(kernel, { hosts });
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

async function pull(name: string, text = name): Promise<string> {
  makeImage(registry, name, "v1", [text, `${name}'s own`]);
  return await pullImage(bench.deps, makeCall(), { image: `reg.test/${name}:v1` });
}

/** Makes everything that is known of an image so many minutes older. */
function age(id: string, minutes: number): void {
  const sql = `UPDATE images SET used_at = used_at - ?1, released_at = released_at - ?1 WHERE id = ?2`;
  bench.deps.store.prepare(sql).run({ 1: minutes * 60_000_000, 2: id });
}

const left = () => listImageRows(bench.deps.store).map(({ repoTags }) => repoTags[0] ?? "-");

function withConfig(gc: NonNullable<Parameters<typeof imagesOf>[0]>["gc"]): ImageDeps {
  const images = { ...imagesOf({ ...(gc === undefined ? {} : { gc }) }), ...testLimits };
  return { ...bench.deps, config: { images, registry: { hosts: {} } } as unknown as BerthConfig };
}

describe("collectImages", () => {
  it("takes what lost its name, after the grace period, and nothing else", async () => {
    const old = await pull("a/b");
    await pull("a/b", "two");
    await pull("a/c");
    const deps = withConfig({ grace_minutes: 60 });
    const collect = () => collectImages(deps, makeCall());
    age(old, 59);
    expect(await collect()).toEqual({ images: [], failures: [] });
    age(old, 2);
    const { layers } = imageStatus(bench.deps, old)!;
    const records = statSync(bench.deps.paths.layerRecord(layers[0]!)).blocks * 512;
    expect((await collect()).images).toMatchObject([{ id: old, freedBytes: "a/b".length + records }]);
    expect(left()).toEqual(["reg.test/a/b:v1", "reg.test/a/c:v1"]);
    expect(bench.left().layers).toHaveLength(3 + 1);
  });

  it.each([
    ["a container has it", (id: string) => addContainer(bench.deps.store, "c1", id)],
    [
      "a container mounts it",
      async (id: string) =>
        addContainer(bench.deps.store, "c1", await pull("z/z"), [{ image: { image: id } }]),
    ],
    ["it is pinned", (id: string) => setPins(bench.deps.store, [{ pattern: id, exact: true }])],
    ["it was loaded", (id: string) => markLocal(bench.deps.store, id)],
    ["it has a name again", (id: string) => tagImage(bench.deps, makeCall(), { source: id, target: "x" })],
    ["the configuration says so", () => {}, { collect_released: false }],
  ] as [string, (id: string) => unknown, object?][])("leaves it when %s", async (_, hold, gc = {}) => {
    const old = await pull("a/b");
    await pull("a/b", "two");
    age(old, 100_000);
    await hold(old);
    const count = left().length;
    expect((await collectImages(withConfig(gc), makeCall())).images).toEqual([]);
    expect(left()).toHaveLength(count);
  });

  it("empties a full disk down to the low mark, longest unused first", async () => {
    const ids = [await pull("a/a"), await pull("a/b"), await pull("a/c"), await pull("a/d")];
    ids.forEach((id, n) => {
      age(id, 100 - n);
    });
    setPins(bench.deps.store, imagesOf({ pinned: ["reg.test/a/a:*"] }).pinned);
    const deps = withConfig({ high_mark_percent: 80, low_mark_percent: 60 });
    const fullness = async () => 50 + 10 * left().length;
    const { images } = await collectImages(deps, makeCall(), fullness);
    expect(images.map(({ id }) => id)).toEqual([ids[1], ids[2], ids[3]]);
    expect(left()).toEqual(["reg.test/a/a:v1"]);
  });

  it("does nothing below the high mark, and leaves what was just pulled", async () => {
    age(await pull("a/a"), 10);
    await pull("a/b");
    const deps = withConfig({ high_mark_percent: 80, low_mark_percent: 60 });
    expect((await collectImages(deps, makeCall(), async () => 79)).images).toEqual([]);
    await collectImages(deps, makeCall(), async () => 90);
    expect(left()).toEqual(["reg.test/a/b:v1"]);
  });

  it("without marks gives up only what interrupted pulls left, when room is scarce", async () => {
    await pull("a/b");
    const { partials } = bench.deps.paths;
    mkdirSync(partials, { recursive: true });
    const ages = [14, 16].map((minutes) => Date.now() / 1000 - minutes * 60);
    ages.forEach((at, n) => {
      const path = join(partials, `sha256-${String(n).repeat(64)}`);
      writeFileSync(path, "x", { mode: 0o600 });
      utimesSync(path, at, at);
    });
    await collectImages(withConfig({}), makeCall(), async () => 84);
    expect(readdirSync(partials)).toHaveLength(2);
    await collectImages(withConfig({}), makeCall(), async () => 85);
    expect(readdirSync(partials)).toEqual([`sha256-${"0".repeat(64)}`]);
    expect(left()).toEqual(["reg.test/a/b:v1"]);
  });

  it("takes what was used before the clock was set back", async () => {
    const old = await pull("a/b");
    await pull("a/b", "two");
    age(old, -100_000);
    const released = withConfig({ grace_minutes: 60 });
    expect((await collectImages(released, makeCall())).images).toMatchObject([{ id: old }]);
    const ids = [await pull("a/a"), await pull("a/c")];
    age(ids[0]!, -100_000);
    age(ids[1]!, -1);
    const marks = withConfig({ high_mark_percent: 80, low_mark_percent: 60 });
    const { images } = await collectImages(marks, makeCall(), async () => 90);
    expect(images.map(({ id }) => id)).toEqual([ids[0]]);
  });
});

it("what containers take is measured again although the clock was set back", async () => {
  let bytes = 1;
  const measure = { treeUsage: async () => ({ bytes: bytes++, inodes: 1 }) };
  const room = new SnapshotRoom(measure, "/");
  vi.useFakeTimers({ toFake: ["performance", "Date"] });
  try {
    vi.setSystemTime(Date.now() + 1e9);
    expect((await room.get()).bytes).toBe(1);
    vi.setSystemTime(Date.now() - 1e9);
    expect((await room.get()).bytes).toBe(1);
    vi.advanceTimersByTime(11_000);
    vi.setSystemTime(Date.now() - 1e9);
    await room.get();
    await new Promise((resolve) => setImmediate(resolve));
    expect((await room.get()).bytes).toBe(2);
  } finally {
    vi.useRealTimers();
  }
});

describe("pruneImages", () => {
  const prune = (all: boolean, unusedMs = 0) => pruneImages(bench.deps, makeCall(), { all, unusedMs });

  it("takes what nobody named, or all that nobody uses", async () => {
    await pull("a/b");
    age(await pull("a/b", "two"), -100_000);
    const used = await pull("a/c");
    addContainer(bench.deps.store, "c1", used);
    expect((await prune(false)).images).toHaveLength(1);
    expect(left()).toEqual(["reg.test/a/b:v1", "reg.test/a/c:v1"]);
    expect((await prune(true, 200_000 * 60_000)).images).toEqual([]);
    expect((await prune(true)).images).toMatchObject([
      { references: ["reg.test/a/b:v1", expect.anything()] },
    ]);
    expect(left()).toEqual(["reg.test/a/c:v1"]);
  });

  it("goes on when a directory cannot be removed", async () => {
    await pull("a/b");
    await pull("a/c");
    const { removeTree } = kernel;
    let failed = 0;
    kernel.removeTree = async (path) => {
      if (failed++ === 0) throw new Error("no");
      await removeTree(path);
    };
    await prune(true);
    expect(left()).toEqual([]);
    expect(bench.left().layers).toHaveLength(1);
  });
});

it("the collector notes when an image was used last, also as a volume", async () => {
  const id = await pull("a/b");
  const mounted = await pull("a/c");
  for (const one of [id, mounted]) age(one, 1000);
  const collector = new ImageCollector(withConfig({}), makeCall());
  const mount = { containerPath: "/m", image: { image: "reg.test/a/c:v1", imageRef: mounted } };
  addContainer(bench.deps.store, "c1", id, [mount, { containerPath: "/h", hostPath: "/srv" }]);
  collector.onEvent({ type: "container-created", containerId: "c1", podId: "p", at: Date.now() * 1000 });
  collector.stop();
  bench.deps.store.exec("DELETE FROM containers");
  expect((await pruneImages(bench.deps, makeCall(), { all: true, unusedMs: 60_000 })).images).toEqual([]);
});
