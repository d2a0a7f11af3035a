// What an interrupted pull leaves, and what the next one makes of it: parts of blobs, whole layers, and hosts
// that send something else.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pullImage } from "../../../src/images/pull-image.ts";
import { sweepImages } from "../../../src/images/sweep-images.ts";
import { sweepUnfinished } from "../../../src/images/sweep-unfinished.ts";
import { listImageRows } from "../../../src/store/images.ts";
import type { LayerRecord } from "../../../src/types/pull.ts";
import { type Bench, makeBench, makeCall } from "./support/bench.ts";
import { type FakeLayers, fakeLayers } from "./support/fake-layers.ts";
import { type MadeImage, makeImage, RegistryServer } from "./support/registry-server.ts";

let registry: RegistryServer;
let mirror: RegistryServer;
let kernel: FakeLayers;
let bench: Bench;
let image: MadeImage;

/** Compresses to about as much: parts of blobs below a mebibyte are not kept. */
const noise = createHash("shake256", { outputLength: 1_600_000 }).update("noise").digest("base64");

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  mirror = await new RegistryServer().listen();
  kernel = fakeLayers();
  const mirrors = [{ url: mirror.url }];
  bench = makeBench(kernel, { hosts: { [registry.host]: { mirrors } } }, { retries: 1 });
  image = makeImage(registry, "a/b", "v1", [noise, "small"]);
});
afterEach(async () => {
  await bench.close();
  await registry.close();
  await mirror.close();
});

const pull = (signal?: AbortSignal) =>
  pullImage(bench.deps, makeCall(signal), { image: `${registry.host}/a/b:v1` });
const big = () => image.layers[0]!;
const partials = () => {
  const { partials: directory } = bench.deps.paths;
  return existsSync(directory) ? readdirSync(directory) : [];
};
const partialOf = () => join(bench.deps.paths.partials, big().digest.replace(":", "-"));
const ranges = (server: RegistryServer) =>
  server.requests
    .filter(({ path }) => path.endsWith(big().digest))
    .map(({ headers }) => headers.range ?? "whole");
const lastRecord = (): LayerRecord =>
  bench.deps.progress.records()[0]?.layers.find(({ layer }) => layer === big().digest) as LayerRecord;

/** Answers the big blob from `first` on, and breaks after `bytes`. */
function breakAfter(server: RegistryServer, bytes: number): void {
  server.intercept = (asked, response, url) => {
    if (!url.pathname.endsWith(big().digest)) return false;
    const first = Number(/bytes=(\d+)-/.exec(asked.headers.range ?? "")?.[1] ?? 0);
    if (first >= bytes) {
      asked.socket.destroy();
      return true;
    }
    const total = big().bytes.length;
    const range = { "content-range": `bytes ${first}-${total - 1}/${total}` };
    response.writeHead(first === 0 ? 200 : 206, { ...range, "content-length": total - first });
    response.write(big().bytes.subarray(first, bytes), () => setTimeout(() => response.destroy(), 50));
    return true;
  };
}

function expectWhole(): void {
  const [row] = listImageRows(bench.deps.store);
  const contents = row?.layers.map((n) =>
    readFileSync(join(bench.deps.paths.layer(n), "content.tar"), "utf8"),
  );
  expect(contents?.map((text) => text === noise || text)).toEqual([true, "small"]);
  expect(partials()).toEqual([]);
}

describe("after the network broke", () => {
  it("goes on where it stopped, and keeps whole layers", async () => {
    breakAfter(registry, 800_000);
    await expect(pull()).rejects.toThrow("RegistryUnavailable");
    expect(partials()).toEqual([big().digest.replace(":", "-")]);
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 1 } });
    const have = readFileSync(partialOf()).length;
    expect(have).toBeGreaterThan(500_000);
    registry.intercept = () => false;
    registry.requests.length = 0;
    await pull();
    expect(ranges(registry)).toEqual([`bytes=${have}-`]);
    expect(registry.paths().filter((path) => path.endsWith(image.layers[1]!.digest))).toEqual([]);
    expect(lastRecord()).toMatchObject({
      outcome: "fetched",
      resumedBytes: have,
      fetchedBytes: big().bytes.length - have,
      host: registry.url,
    });
    expectWhole();
  });

  it("goes on after a start of the daemon as well", async () => {
    breakAfter(registry, 800_000);
    await expect(pull()).rejects.toThrow();
    const have = readFileSync(partialOf()).length;
    expect(await sweepImages(bench.deps, makeCall())).toEqual({ removed: 0, missing: [] });
    registry.intercept = () => false;
    await pull();
    expect(ranges(registry).at(-1)).toBe(`bytes=${have}-`);
    expectWhole();
  });

  it("goes on at another host", async () => {
    makeImage(mirror, "a/b", "v1", [noise, "small"]);
    breakAfter(mirror, 800_000);
    await pull();
    expect(ranges(registry)).toEqual([expect.stringMatching(/^bytes=[78]\d{5}-$/)]);
    expect(lastRecord()).toMatchObject({ host: registry.url, outcome: "fetched" });
    expect(lastRecord().retries).toBeGreaterThan(0);
    expectWhole();
  });

  it("keeps it too when the caller went away", async () => {
    const leaving = new AbortController();
    registry.intercept = (_asked, response, url) => {
      if (!url.pathname.endsWith(big().digest)) return false;
      response.writeHead(200, { "content-length": big().bytes.length });
      response.write(big().bytes.subarray(0, 800_000), () => setTimeout(() => leaving.abort(), 100));
      return true;
    };
    await expect(pull(leaving.signal)).rejects.toMatchObject({ code: "CANCELLED" });
    expect(partials()).toHaveLength(1);
    registry.intercept = () => false;
    await pull();
    expectWhole();
  });

  it("asks for nothing when the blob is whole", async () => {
    mkdirSync(bench.deps.paths.partials, { recursive: true });
    writeFileSync(partialOf(), big().bytes);
    await pull();
    expect(ranges(registry)).toEqual([]);
    expectWhole();
  });
});

describe("what lies on disk is not believed", () => {
  it.each([
    ["other bytes", () => Buffer.alloc(900_000, 7)],
    [
      "a good beginning and a bad end",
      () => Buffer.concat([big().bytes.subarray(0, 5e5), Buffer.alloc(5e5)]),
    ],
    ["too much", () => Buffer.concat([big().bytes, Buffer.from("x")])],
    ["another blob of the same length", () => Buffer.alloc(big().bytes.length)],
  ])("%s: it is fetched anew", async (_, content) => {
    mkdirSync(bench.deps.paths.partials, { recursive: true });
    writeFileSync(partialOf(), content());
    await pull();
    expect(ranges(registry).at(-1)).toBe("whole");
    expectWhole();
  });
});

describe("a host that sends something else", () => {
  const lie = () => {
    const bytes = Buffer.from(big().bytes);
    // The gzip header's time stamp: the content inside stays the same.
    bytes[4] = 1;
    return bytes;
  };

  it("is asked no more, and the next one is", async () => {
    makeImage(mirror, "a/b", "v1", [noise, "small"]);
    mirror.blobs.set(big().digest, lie());
    await pull();
    expect(ranges(mirror)).toEqual(["whole"]);
    expect(ranges(registry)).toEqual(["whole"]);
    expectWhole();
  });

  it("fails the pull when it is the only one, and leaves nothing", async () => {
    registry.blobs.set(big().digest, lie());
    await expect(pull()).rejects.toMatchObject({ code: "DATA_LOSS" });
    expect(bench.left()).toEqual({ staging: [], layers: [] });
    expect(partials()).toEqual([]);
  });

  it("between two requests is found out, and asked once more from the beginning", async () => {
    breakAfter(registry, 800_000);
    await expect(pull()).rejects.toThrow();
    const partial = readFileSync(partialOf());
    partial[4] = 1;
    writeFileSync(partialOf(), partial);
    registry.intercept = () => false;
    await pull();
    expect(ranges(registry).slice(-2)).toEqual([`bytes=${partial.length}-`, "whole"]);
    expectWhole();
  });

  it.each([
    ["no ranges", 200, () => ({})],
    ["another range", 206, (total: number) => ({ "content-range": `bytes 7-${total - 1}/${total}` })],
    ["a range of another blob", 206, (total: number) => ({ "content-range": `bytes 1-2/${total + 5}` })],
    ["no such range", 416, () => ({})],
  ])("that knows %s loses nothing", async (_, status, headers) => {
    breakAfter(registry, 800_000);
    await expect(pull()).rejects.toThrow();
    registry.intercept = (asked, response, url) => {
      if (!url.pathname.endsWith(big().digest) || asked.headers.range === undefined) return false;
      response.writeHead(status, headers(big().bytes.length)).end(status === 416 ? "" : big().bytes);
      return true;
    };
    await pull();
    expectWhole();
  });

  it("cannot declare a blob larger than any layer may be", async () => {
    const manifest = structuredClone(image.manifest) as { layers: { size: number }[] };
    manifest.layers[0]!.size = 2 ** 40;
    const type = "application/vnd.oci.image.manifest.v1+json";
    registry.addManifest("a/b", "v1", manifest, type);
    await expect(pull()).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      message: expect.stringContaining("max_layer_unpacked_bytes"),
    });
    expect(ranges(registry)).toEqual([]);
  });
});

describe("what nobody comes back for", () => {
  it("is removed when it is old: parts of blobs, and layers without an image", async () => {
    breakAfter(registry, 800_000);
    await expect(pull()).rejects.toThrow();
    await sweepUnfinished(bench.deps, makeCall());
    expect(partials()).toHaveLength(1);
    const yesterday = Date.now() / 1000 - 25 * 3600;
    utimesSync(partialOf(), yesterday, yesterday);
    bench.deps.store.prepare("UPDATE layers SET created_at = ?").run(yesterday * 1e6);
    await sweepUnfinished(bench.deps, makeCall());
    expect(partials()).toEqual([]);
    expect(bench.left().layers).toEqual([]);
  });

  it("is not old because it is the file of an artifact from 1970", async () => {
    const { partials: folder } = bench.deps.paths;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `sha256-${"a".repeat(64)}`), "x", { mode: 0o644 });
    utimesSync(join(folder, `sha256-${"a".repeat(64)}`), 0, 0);
    await sweepUnfinished(bench.deps, makeCall());
    expect(partials()).toHaveLength(1);
  });

  it("is bounded: the least recently used go first", async () => {
    const deps = { ...bench.deps.paths };
    const { Partials } = await import("../../../src/blobs/partials.ts");
    const small = new Partials(deps, { maxBytes: 250_000, maxAgeMs: 3600_000 });
    mkdirSync(deps.partials, { recursive: true });
    const names = ["a", "b", "c"].map((letter) => `sha256-${letter.repeat(64)}`);
    names.forEach((name, age) => {
      writeFileSync(join(deps.partials, name), Buffer.alloc(100_000, 1), { mode: 0o600 });
      utimesSync(join(deps.partials, name), Date.now() / 1000 - age, Date.now() / 1000 - age);
    });
    writeFileSync(join(deps.partials, "strange"), "");
    const lease = await small.lease(`sha256:${"c".repeat(64)}`);
    expect(await small.lease(`sha256:${"c".repeat(64)}`)).toBeNull();
    await small.sweep();
    expect(partials().sort()).toEqual(names);
    lease?.release();
    utimesSync(join(deps.partials, names[2]!), 0, Date.now() / 1000 - 60);
    await small.sweep();
    expect(partials().sort()).toEqual(names.slice(0, 2));
  });

  it("is bounded in whole layers as well, and goes when the room is needed", async () => {
    breakAfter(registry, 800_000);
    await expect(pull()).rejects.toThrow();
    expect(bench.left().layers).toHaveLength(1);
    await sweepUnfinished(bench.deps, makeCall(), { all: true });
    expect([bench.left().layers, partials()]).toEqual([[], []]);
    await expect(pull()).rejects.toThrow();
    const small = {
      ...bench.deps,
      config: { ...bench.deps.config, registry: { hosts: {}, partialMaxBytes: 1 } },
    };
    await sweepUnfinished(small, makeCall());
    expect(bench.left().layers).toEqual([]);
  });

  it("makes room when the disk is full", async () => {
    mkdirSync(bench.deps.paths.partials, { recursive: true });
    writeFileSync(join(bench.deps.paths.partials, `sha256-${"a".repeat(64)}`), "x");
    kernel.beforeFinish = async () => {
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    };
    await expect(pull()).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expect(partials()).toEqual([]);
    expect(bench.left()).toEqual({ staging: [], layers: [] });
  });
});

describe("the record of a pull", () => {
  it("adds up", async () => {
    await pull();
    const [record] = bench.deps.progress.records();
    const sum = (phases: readonly { activeMicros: number }[]) =>
      phases.reduce((total, { activeMicros }) => total + activeMicros, 0);
    const wall = record!.endedAt - record!.beganAt;
    expect(Math.abs(sum(record!.phases) - wall)).toBeLessThan(wall * 0.02 + 2000);
    for (const { phases, outcome } of record!.layers) {
      const [begin, end] = [phases[0]!.beganAt, Math.max(...phases.map(({ endedAt }) => endedAt))];
      expect(Math.abs(sum(phases) - (end - begin))).toBeLessThan((end - begin) * 0.02 + 2000);
      expect(outcome).toBe("fetched");
    }
    expect(record!.phases.map(({ phase }) => phase)).toEqual(["resolve", "layers", "commit"]);
  });

  it("of a failed one says why", async () => {
    registry.blobs.delete(big().digest);
    await expect(pull()).rejects.toThrow();
    expect(bench.deps.progress.records()[0]).toMatchObject({
      error: expect.stringContaining(big().digest),
      imageId: "",
    });
  });

  it("is kept for a bounded number of pulls", async () => {
    for (let n = 0; n < 70; n++) await pull();
    const records = bench.deps.progress.records();
    expect(records).toHaveLength(64);
    expect(records[0]!.id).toBe(70);
    expect(records[0]!.layers).toEqual([]);
  });
});
