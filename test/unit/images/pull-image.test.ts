import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageStatus } from "../../../src/images/image-status.ts";
import type { PullProgress } from "../../../src/images/progress.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { listImageRows } from "../../../src/store/images.ts";
import { mediaTypes } from "../../../src/types/oci-image.ts";
import { type Bench, makeBench, makeCall } from "./support/bench.ts";
import { type FakeLayers, fakeLayers, sha256 } from "./support/fake-layers.ts";
import { makeImage, RegistryServer } from "./support/registry-server.ts";

let registry: RegistryServer;
let kernel: FakeLayers;
let bench: Bench;

beforeEach(async () => {
  registry = await new RegistryServer().listen();
  kernel = fakeLayers();
  bench = makeBench(kernel, { hosts: { "reg.test": { mirrors: [{ url: registry.url }], plainHttp: true } } });
});
afterEach(async () => {
  await bench.close();
  await registry.close();
});

const pull = (image: string, signal?: AbortSignal, onProgress?: (progress: PullProgress) => void) =>
  pullImage(bench.deps, makeCall(signal), { image }, onProgress);
const coded = (code: string, text: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });
const blobRequests = () => registry.paths().filter((path) => path.includes("/blobs/"));

/** Nothing is left of a pull that failed. */
function expectNothing() {
  expect(bench.left()).toEqual({ staging: [], layers: [] });
  expect(listImageRows(bench.deps.store)).toEqual([]);
  expect(bench.deps.store.prepare("SELECT count(*) AS n FROM layers").get()).toEqual({ n: 0 });
  expect(bench.events).toEqual([]);
}

describe("pullImage", () => {
  it("asks for the largest layers first", async () => {
    const texts = [10, 3000, 20, 9000, 30].map((size, n) => randomBytes(size).toString("hex") + n);
    const made = makeImage(registry, "a/sizes", "v1", texts);
    await pull("reg.test/a/sizes:v1");
    const large = [3, 1].map((n) => made.layers[n]?.digest ?? "missing");
    const asked = blobRequests().filter((path) => !path.endsWith(made.id));
    // Three at once, in any order.
    const first = asked.slice(0, 3).map((path) => path.split("/").at(-1));
    expect(first).toEqual(expect.arrayContaining(large));
  });

  it("puts layers on disk and the image under its own name", async () => {
    const made = makeImage(registry, "a/b", "v1", ["one", "two"]);
    const id = await pull("reg.test/a/b:v1");
    expect(id).toBe(made.id);
    const image = imageStatus(bench.deps, "reg.test/a/b:v1");
    expect(image).toMatchObject({
      id,
      repoTags: ["reg.test/a/b:v1"],
      repoDigests: [`reg.test/a/b@${made.digest}`],
      manifestDigest: made.digest,
      config: { user: "1000:1000", env: ["PATH=/bin"], cmd: ["sh"], entrypoint: [], labels: {} },
    });
    const contents = image?.layers.map((n) =>
      readFileSync(join(bench.deps.paths.layer(n), "content.tar"), "utf8"),
    );
    expect(contents).toEqual(["one", "two"]);
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 2 } });
    expect(bench.events).toMatchObject([{ type: "image-pulled", imageId: id }]);
  });

  it("makes no tag for a digest", async () => {
    const { digest } = makeImage(registry, "a/b", "v1", ["one"]);
    await pull(`reg.test/a/b@${digest}`);
    expect(imageStatus(bench.deps, `reg.test/a/b@${digest}`)?.repoTags).toEqual([]);
    expect(listImageRows(bench.deps.store)).toMatchObject([{ repoDigests: [`reg.test/a/b@${digest}`] }]);
  });

  it("chooses this machine's platform, and knows the image by the index's digest", async () => {
    const { manifest } = makeImage(registry, "a/b", "part", ["one"]);
    const entry = registry.addManifest("a/b", "x", manifest, mediaTypes.ociManifest);
    const descriptor = { mediaType: mediaTypes.ociManifest, digest: entry.digest, size: entry.bytes.length };
    const architecture = process.arch === "x64" ? "amd64" : "arm64";
    const manifests = [
      { ...descriptor, digest: sha256(Buffer.from("no")), platform: { os: "linux", architecture: "s390x" } },
      { ...descriptor, platform: { os: "linux", architecture } },
    ];
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
    const { digest } = registry.addManifest("a/b", "v1", index, mediaTypes.ociIndex);
    await pull("reg.test/a/b:v1");
    expect(listImageRows(bench.deps.store)).toMatchObject([
      { manifestDigest: entry.digest, repoDigests: [`reg.test/a/b@${digest}`] },
    ]);
  });

  it("takes Docker's schema 2 as well", async () => {
    const config = (made: { config: object }) => ({ ...made.config, mediaType: mediaTypes.dockerConfig });
    const { manifest } = makeImage(registry, "a/b", "part", ["one"]);
    const layers = manifest.layers.map((layer) => ({
      ...layer,
      mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    }));
    const type = mediaTypes.dockerManifest;
    const docker = { schemaVersion: 2, mediaType: type, config: config(manifest), layers };
    const { digest, bytes } = registry.addManifest("a/b", "part", docker, type);
    const platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : "arm64" };
    const manifests = [{ mediaType: type, digest, size: bytes.length, platform }];
    const list = { schemaVersion: 2, mediaType: mediaTypes.dockerList, manifests };
    registry.addManifest("a/b", "v1", list, mediaTypes.dockerList);
    await pull("reg.test/a/b:v1");
    expect(listImageRows(bench.deps.store)).toMatchObject([
      { manifestDigest: digest, layers: { length: 1 } },
    ]);
  });

  it("fetches nothing that is there already", async () => {
    makeImage(registry, "a/b", "v1", ["one", "two"]);
    makeImage(registry, "a/c", "v1", ["one", "two", "three"]);
    await pull("reg.test/a/b:v1");
    await pull("reg.test/a/b:v1");
    expect(blobRequests()).toHaveLength(3);
    await pull("reg.test/a/c:v1");
    expect(kernel.unpacks).toBe(3);
    expect(bench.left().layers).toHaveLength(3);
  });

  it("moves a tag; the image it named stays", async () => {
    const first = makeImage(registry, "a/b", "v1", ["one"]);
    await pull("reg.test/a/b:v1");
    const second = makeImage(registry, "a/b", "v1", ["two"]);
    await pull("reg.test/a/b:v1");
    expect(listImageRows(bench.deps.store)).toMatchObject([
      { id: first.id, repoTags: [], repoDigests: [`reg.test/a/b@${first.digest}`] },
      { id: second.id, repoTags: ["reg.test/a/b:v1"] },
    ]);
  });

  it("counts the upper one of two equal layers", async () => {
    makeImage(registry, "a/b", "v1", ["same", "two", "same"]);
    // The third is zstd by its place but the same tar: one diff ID, two blobs.
    await pull("reg.test/a/b:v1");
    const [image] = listImageRows(bench.deps.store);
    const contents = image?.layers.map((n) =>
      readFileSync(join(bench.deps.paths.layer(n), "content.tar"), "utf8"),
    );
    expect(contents).toEqual(["two", "same"]);
  });

  it("tells how far it is", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    const phases: string[] = [];
    await pull("reg.test/a/b:v1", undefined, (progress) => phases.push(progress.phase));
    expect(phases).toEqual(["resolve", "wait", "download", "unpack", "sync", "commit", "done", "commit"]);
  });
});

describe("pulls at the same time", () => {
  it("of one reference are one", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    const [a, b] = await Promise.all([pull("reg.test/a/b:v1"), pull("reg.test/a/b:v1")]);
    expect(a).toBe(b);
    expect(registry.paths().filter((path) => path.includes("/manifests/"))).toHaveLength(1);
  });

  it("fetch a layer they share once", async () => {
    makeImage(registry, "a/b", "v1", ["shared"]);
    makeImage(registry, "a/c", "v1", ["shared", "more"]);
    await Promise.all([pull("reg.test/a/b:v1"), pull("reg.test/a/c:v1")]);
    expect(kernel.unpacks).toBe(2);
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 2 } });
  });

  it("keep a shared layer when one of them fails", async () => {
    makeImage(registry, "a/b", "v1", ["shared", "bad"], {
      diffIds: [sha256(Buffer.from("shared")), sha256(Buffer.from("other"))],
    });
    makeImage(registry, "a/c", "v1", ["shared"]);
    const results = await Promise.allSettled([pull("reg.test/a/b:v1"), pull("reg.test/a/c:v1")]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 1 } });
  });

  it("go on while one caller stays, and stop with the last", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    kernel.beforeFinish = () => {
      arrived.resolve();
      return held.promise;
    };
    const leaving = new AbortController();
    const left = pull("reg.test/a/b:v1", leaving.signal);
    const stays = pull("reg.test/a/b:v1");
    await arrived.promise;
    leaving.abort();
    await expect(left).rejects.toEqual(coded("CANCELLED", "pull image"));
    held.resolve();
    expect(await stays).toMatch(/^sha256:/);
  });

  it("leave nothing when all callers go away", async () => {
    makeImage(registry, "a/b", "v1", ["one", "two"]);
    const arrived = Promise.withResolvers<void>();
    kernel.beforeFinish = () => {
      arrived.resolve();
      return new Promise(() => {});
    };
    const leaving = new AbortController();
    const pulls = [pull("reg.test/a/b:v1", leaving.signal), pull("reg.test/a/b:v1", leaving.signal)];
    const settled = Promise.allSettled(pulls);
    await arrived.promise;
    leaving.abort();
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expectNothing();
  });

  it("are not joined across credentials", async () => {
    makeImage(registry, "a/b", "v1", ["one"]);
    registry.intercept = (asked, response) => {
      if (asked.headers.authorization !== undefined) return false;
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      return true;
    };
    const nobody = { password: "", auth: "", serverAddress: "", identityToken: "", registryToken: "" };
    const image = `${registry.host}/a/b:v1`;
    const results = await Promise.allSettled([
      pullImage(bench.deps, makeCall(), { image, auth: { ...nobody, username: "alice" } }),
      pullImage(bench.deps, makeCall(), { image }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});

describe("a pull that fails leaves nothing", () => {
  const architecture = process.arch === "x64" ? "amd64" : "arm64";
  const layerOf = (mediaType: string) => ({ mediaType, digest: sha256(Buffer.from("x")), size: 1 });
  const index = (manifests: object[]) => ({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });

  it("when a blob is not what its digest says", async () => {
    const { layers } = makeImage(registry, "a/b", "v1", ["one", "two"]);
    const digest = layers[0]!.digest;
    const lie = Buffer.from(layers[0]!.bytes);
    // The gzip header's time stamp: the content inside stays the same.
    lie[4] = 1;
    registry.blobs.set(digest, lie);
    await expect(pull("reg.test/a/b:v1")).rejects.toEqual(coded("DATA_LOSS", `is "${sha256(lie)}"`));
    expectNothing();
  });

  it("when a layer is not what its diff ID says", async () => {
    const diffIds = [sha256(Buffer.from("other"))];
    makeImage(registry, "a/b", "v1", ["one"], { diffIds });
    await expect(pull("reg.test/a/b:v1")).rejects.toEqual(
      coded("DATA_LOSS", `its diff ID is "${sha256(Buffer.from("one"))}", not "${diffIds[0]}"`),
    );
    expectNothing();
  });

  it("when a layer is corrupt", async () => {
    const { layers } = makeImage(registry, "a/b", "v1", ["one"]);
    registry.blobs.set(layers[0]!.digest, Buffer.alloc(layers[0]!.bytes.length, 0x1f));
    await expect(pull("reg.test/a/b:v1")).rejects.toThrow(
      `unpack layer "${layers[0]!.digest}" of image "reg.test`,
    );
    expectNothing();
  });

  it("when a layer is missing", async () => {
    const { layers } = makeImage(registry, "a/b", "v1", ["one", "two", "three"]);
    registry.blobs.delete(layers[2]!.digest);
    await expect(pull(`${registry.host}/a/b:v1`)).rejects.toThrow(layers[2]!.digest);
    expectNothing();
  });

  it("when the config is not what its digest says", async () => {
    const { id } = makeImage(registry, "a/b", "v1", ["one"]);
    const config = registry.blobs.get(id) as Buffer;
    registry.blobs.set(id, Buffer.from(config.toString().replace("1000:1000", "0000:0000")));
    await expect(pull("reg.test/a/b:v1")).rejects.toEqual(coded("DATA_LOSS", "config of image"));
    expectNothing();
  });

  it("when the index has no image for this machine", async () => {
    const entry = layerOf(mediaTypes.ociManifest);
    const manifests = [
      { ...entry, platform: { os: "linux", architecture: "s390x" } },
      { ...entry, platform: { os: "windows", architecture } },
      { ...entry, platform: { os: "unknown", architecture: "unknown" } },
    ];
    registry.addManifest("a/b", "v1", index(manifests), mediaTypes.ociIndex);
    await expect(pull("reg.test/a/b:v1")).rejects.toEqual(
      coded("NOT_FOUND", `only for: linux/s390x, windows/${architecture}`),
    );
    expectNothing();
  });

  it("when indexes nest without end", async () => {
    let entry: object = layerOf(mediaTypes.ociManifest);
    let tag = "";
    for (let depth = 0; depth < 6; depth++) {
      tag = `v${depth}`;
      const { digest, bytes } = registry.addManifest("a/b", tag, index([entry]), mediaTypes.ociIndex);
      entry = { mediaType: mediaTypes.ociIndex, digest, size: bytes.length };
    }
    await expect(pull(`reg.test/a/b:${tag}`)).rejects.toEqual(coded("DATA_LOSS", "inside each other"));
    expectNothing();
  });

  it.each([
    [
      "foreign",
      { layers: [layerOf("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")] },
      "foreign layer",
    ],
    ["unknown", { layers: [layerOf("application/x")] }, "unknown type"],
    ["not as many", { layers: [] }, "1 diff IDs"],
    ["too many", { layers: Array(9).fill(layerOf("application/vnd.oci.image.layer.v1.tar")) }, "limit is 8"],
    ["not an array", { layers: {} }, "/layers"],
    ["also an index's", { manifests: [] }, "as a manifest and as an index"],
    ["of schema 1", { schemaVersion: 1 }, "schema 1"],
    ["of a bad digest", { layers: [{ ...layerOf("a/x"), digest: "sha256:../../etc" }] }, "/layers/0/digest"],
    ["of a negative size", { layers: [{ ...layerOf("a/x"), size: -1 }] }, "/layers/0/size"],
  ])("when the manifest's layers are %s", async (_, manifest, text) => {
    makeImage(registry, "a/b", "v1", ["one"], { manifest });
    await expect(pull("reg.test/a/b:v1")).rejects.toThrow(text);
    expectNothing();
  });

  it.each([
    ["another platform", { architecture: "s390x" }, "linux/s390x"],
    ["a NUL in it", { config: { Env: ["A=\0B"] } }, "/config"],
    ["no rootfs", { rootfs: null }, "/rootfs"],
    ["a list for a config", { config: [] }, "/config"],
  ])("when the config has %s", async (_, config, text) => {
    makeImage(registry, "a/b", "v1", ["one"], { config });
    await expect(pull("reg.test/a/b:v1")).rejects.toThrow(text);
    expectNothing();
  });

  it("when what comes is not JSON", async () => {
    registry.manifests.set("a/b/v1", { type: mediaTypes.ociManifest, bytes: Buffer.from("<html>") });
    await expect(pull("reg.test/a/b:v1")).rejects.toEqual(coded("DATA_LOSS", "not JSON"));
    expectNothing();
  });

  it.each(["resolve", "fetch-manifest", "fetch-config", "unpack-layers", "place-layer", "commit"])(
    "when it stops before %s",
    async (step) => {
      makeImage(registry, "a/b", "v1", ["one", "two"]);
      const call = {
        ...makeCall(),
        observeStep: (_: string, at: string, when: string) => {
          if (at === step && when === "before") throw new Error("stop here");
        },
      };
      await expect(pullImage(bench.deps, call, { image: "reg.test/a/b:v1" })).rejects.toThrow("stop here");
      expectNothing();
    },
  );
});

it("checks blobs with sha512 digests", async () => {
  const { manifest } = makeImage(registry, "a/b", "tmp", ["one"]);
  const layer = manifest.layers[0] as { digest: string };
  const bytes = registry.blobs.get(layer.digest) as Buffer;
  const digest = `sha512:${createHash("sha512").update(bytes).digest("hex")}`;
  registry.blobs.set(digest, bytes);
  const changed = { ...manifest, layers: [{ ...layer, digest }] };
  registry.addManifest("a/b", "v1", changed, mediaTypes.ociManifest);
  expect(await pull("reg.test/a/b:v1")).toMatch(/^sha256:/);
});
