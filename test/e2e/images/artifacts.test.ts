// Artifacts from a real registry: their files, and everything that is done with images, done with them.

import {
  createReadStream,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageFsInfo } from "../../../src/images/image-fs-info.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { listImages } from "../../../src/images/list-images.ts";
import { loadImage } from "../../../src/images/load-image.ts";
import { pruneImages } from "../../../src/images/prune-images.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { pushImage } from "../../../src/images/push-image.ts";
import { rebuildImages } from "../../../src/images/rebuild-images.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { repairImage } from "../../../src/images/repair-image.ts";
import { saveImage } from "../../../src/images/save-image.ts";
import { tagImage } from "../../../src/images/tag-image.ts";
import { untagImage } from "../../../src/images/untag-image.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import type { ImageId } from "../../../src/types/ids.ts";
import { annotationKeys, mediaTypes } from "../../../src/types/oci-image.ts";
import {
  type ArtifactBlob,
  digestOf,
  fetchBlob,
  fetchManifest,
  type MadeArtifact,
  MODEL_TYPE,
  makeArtifact,
  pushArtifact,
  putManifest,
  writeArtifactLayout,
} from "../../images/artifact.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { makeDeps } from "./support/deps.ts";
import { run } from "./support/umoci-image.ts";

const call = backgroundCall();

/** The same each time, and nothing that compresses away. */
function noise(size: number, seed: number): Buffer {
  const data = Buffer.alloc(size);
  let state = seed;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[at] = state >>> 24;
  }
  return data;
}

const FILES: readonly ArtifactBlob[] = [
  { title: "model.safetensors", bytes: noise(5_000_001, 1), mediaType: "application/vnd.test.weights" },
  { title: "config/model.json", bytes: Buffer.from('{"layers":12}'), mediaType: "application/json" },
  { title: "config/deep/er/empty", bytes: Buffer.alloc(0) },
  { title: "chart.tgz", bytes: Buffer.from("1f8b0800000000000003", "hex") },
  {
    bytes: Buffer.from("without a title"),
    annotations: { [annotationKeys.created]: "2024-05-06T07:08:09Z" },
  },
  { title: "by-sha512", bytes: Buffer.from("sha512"), algorithm: "sha512" },
];
const made = makeArtifact(FILES, {
  annotations: { [annotationKeys.created]: "2025-01-02T03:04:05Z", "vnd.test": "of the whole" },
});

const nameOf = ({ title, bytes }: ArtifactBlob) => title ?? digestOf(bytes).replace(":", "-");

let registry: TestRegistry;
let root: string;
let deps: ImageDeps;
let reference: string;
beforeAll(async () => {
  registry = await startRegistry();
  reference = await pushArtifact(registry.host, "models/one:1", made);
});
afterAll(() => registry.stop());
beforeEach(() => {
  root = mkdtempSync("/tmp/berth-e2e-artifacts-");
  deps = makeDeps(join(root, "a"), {});
});
afterEach(async () => {
  await close(deps);
  rmSync(root, { recursive: true, force: true });
});

async function close(one: ImageDeps): Promise<void> {
  await one.registry.close();
  one.store.close();
}

const pull = (image = reference, from = deps) => pullImage(from, call, { image });

/** Names and contents of all files, as an overlay of the layers would show them. */
function filesOf(from: ImageDeps, id: ImageId | string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const number of imageStatus(from, id)?.layers ?? []) {
    const layer = from.paths.layer(number);
    for (const entry of readdirSync(layer, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      files.set(path.slice(layer.length + 1), readFileSync(path));
    }
  }
  return files;
}

const expected = (blobs: readonly ArtifactBlob[]) => new Map(blobs.map((blob) => [nameOf(blob), blob.bytes]));

it("becomes files with the very bytes, and an image with the manifest's digest", async () => {
  const id = await pull();
  expect(id).toBe(made.digest);
  expect(filesOf(deps, id)).toEqual(expected(FILES));
  const image = imageStatus(deps, reference);
  expect(image).toMatchObject({
    id,
    artifact: { type: MODEL_TYPE, manifest: made.manifest.toString() },
    configJson: "",
    manifestDigest: made.digest,
    repoTags: [reference],
    repoDigests: [`${registry.host}/models/one@${made.digest}`],
    size: 2 + FILES.reduce((sum, { bytes }) => sum + bytes.length, 0),
    pinned: false,
  });
  expect(await listImages(deps)).toMatchObject([
    { id, artifactType: MODEL_TYPE, created: "2025-01-02T03:04:05Z", config: { entrypoint: [], cmd: [] } },
  ]);
  expect(await pull()).toBe(id);
  expect(await verifyImage(deps, call, { full: true })).toEqual(
    FILES.map(() => expect.objectContaining({ damage: "", images: [reference] })),
  );
  const info = await imageFsInfo(deps);
  expect(info.image[0]?.usedBytes).toBeGreaterThan(5_000_000);
  const times = imageStatus(deps, id)?.layers.map((number) => {
    const layer = deps.paths.layer(number);
    const name = readdirSync(layer)[0] ?? "";
    const { mode, uid, gid, mtimeMs } = lstatSync(join(layer, name));
    return [name, (mode & 0o7777).toString(8), uid, gid, mtimeMs];
  });
  expect(times).toContainEqual(["model.safetensors", "644", 0, 0, 0]);
  expect(times).toContainEqual([
    nameOf(FILES[4] as ArtifactBlob),
    "644",
    0,
    0,
    Date.UTC(2024, 4, 6, 7, 8, 9),
  ]);
  expect(readdirSync(deps.paths.partials)).toEqual([]);
  expect(readdirSync(deps.paths.staging)).toEqual([]);
});

it("shares files with other artifacts, and not with one that names them otherwise", async () => {
  const [model, ...others] = FILES as [ArtifactBlob, ...ArtifactBlob[]];
  await pull();
  const second = makeArtifact([model, { title: "config/model.json", bytes: Buffer.from("{}") }]);
  await pull(await pushArtifact(registry.host, "models/one:2", second));
  const renamed = makeArtifact([{ ...model, title: "renamed" }]);
  const third = await pull(await pushArtifact(registry.host, "models/one:3", renamed));
  const layers = readdirSync(join(deps.paths.snapshots, "l"));
  expect(layers).toHaveLength(FILES.length + 2);
  expect(filesOf(deps, third)).toEqual(new Map([["renamed", model.bytes]]));
  await removeImage(deps, call, reference);
  expect(filesOf(deps, second.digest).get("model.safetensors")?.equals(model.bytes)).toBe(true);
  expect(readdirSync(join(deps.paths.snapshots, "l"))).toHaveLength(FILES.length + 2 - others.length);
  await pruneImages(deps, call, { all: true, unusedMs: 0 });
  expect(readdirSync(join(deps.paths.snapshots, "l"))).toEqual([]);
  expect(await listImages(deps)).toEqual([]);
});

it.each([
  ["no blobs", [], {}],
  ["the empty blob alone", [{ bytes: Buffer.from("{}"), mediaType: mediaTypes.ociEmpty }], {}],
  ["a blob twice", [FILES[1], FILES[1]], {}],
  ["a blob under two names", [FILES[0], { ...FILES[0], title: "again" }], {}],
  ["no type but its config's", [FILES[1]], { artifactType: undefined }],
  ["an image's config and a type", [FILES[1]], {}],
  ["a subject", [FILES[1]], { subject: { mediaType: mediaTypes.ociManifest, digest: made.digest, size: 1 } }],
] as [string, ArtifactBlob[], object][])("%s", async (name, blobs, changes) => {
  const config =
    name === "an image's config and a type"
      ? { bytes: Buffer.from("\xff\x00 no JSON", "latin1"), mediaType: mediaTypes.ociConfig }
      : { bytes: Buffer.from("name: chart\n"), mediaType: "application/vnd.cncf.helm.config.v1+json" };
  const artifact = makeArtifact(blobs, changes, config);
  const id = await pull(await pushArtifact(registry.host, "models/odd:1", artifact));
  expect(id).toBe(artifact.digest);
  expect(filesOf(deps, id)).toEqual(expected(blobs));
  const type = "artifactType" in changes ? config.mediaType : MODEL_TYPE;
  expect(imageStatus(deps, id)?.artifact?.type).toBe(type);
});

it("two hundred blobs", async () => {
  const blobs = Array.from({ length: 200 }, (_, n) => ({ title: `part-${n}`, bytes: Buffer.from(`${n}`) }));
  await close(deps);
  deps = makeDeps(join(root, "a"), {}, { maxLayers: 512 });
  const id = await pull(await pushArtifact(registry.host, "models/many:1", makeArtifact(blobs)));
  expect(filesOf(deps, id)).toEqual(expected(blobs));
});

it("goes to another registry with the same digest, and every blob as it was", async () => {
  const helm = { bytes: Buffer.from([0, 255, 10, 13, 128]), mediaType: "application/x-binary-config" };
  const artifact = makeArtifact(FILES, {}, helm);
  const image = await pushArtifact(registry.host, "models/two:1", artifact);
  await pull(image);
  const elsewhere = await startRegistry();
  try {
    const target = `${elsewhere.host}/other/name:9`;
    const pushed = await pushImage(deps, call, { image, target });
    expect(pushed).toMatchObject({ digest: artifact.digest, recompressed: [] });
    expect(await fetchManifest(elsewhere.host, "other/name:9")).toEqual(artifact.manifest);
    for (const [digest, bytes] of artifact.blobs) {
      expect((await fetchBlob(elsewhere.host, "other/name", digest)).equals(bytes)).toBe(true);
    }
    expect(await pushImage(deps, call, { image, target })).toMatchObject({ digest: artifact.digest });
  } finally {
    await elsewhere.stop();
  }
});

describe("in archives", () => {
  async function save(references: string[], format: "oci" | "docker"): Promise<string> {
    const pieces: Uint8Array[] = [];
    for await (const piece of await saveImage(deps, call, { references, format })) pieces.push(piece);
    writeFileSync(join(root, "saved.tar"), Buffer.concat(pieces));
    return join(root, "saved.tar");
  }

  it("it is saved and loaded as it was, and skopeo reads it", async () => {
    await pull();
    const other = makeDeps(join(root, "b"), {});
    try {
      const archive = await save([reference], "oci");
      const [loaded] = await loadImage(other, call, createReadStream(archive));
      expect(loaded).toMatchObject({ id: made.digest, references: expect.arrayContaining([reference]) });
      expect(filesOf(other, made.digest)).toEqual(expected(FILES));
      const told = run("skopeo", "inspect", "--raw", `oci-archive:${archive}:${reference.split(":").at(-1)}`);
      expect(told).toBe(made.manifest.toString());
    } finally {
      await close(other);
    }
  });

  it("docker's format is refused", async () => {
    await pull();
    await expect(save([reference], "docker")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("save it in the format oci"),
    });
  });

  it("a layout of somebody else is loaded", async () => {
    writeArtifactLayout(join(root, "layout"), made, "reg.test/models/loaded:1");
    run("tar", "-cf", join(root, "layout.tar"), "-C", join(root, "layout"), ".");
    const [loaded] = await loadImage(deps, call, createReadStream(join(root, "layout.tar")));
    expect(loaded?.references).toContain("reg.test/models/loaded:1");
    expect(filesOf(deps, "reg.test/models/loaded:1")).toEqual(expected(FILES));
    expect(imageStatus(deps, "reg.test/models/loaded:1")?.artifact?.type).toBe(MODEL_TYPE);
  });
});

it("a changed byte is found and mended from the registry", async () => {
  const id = await pull();
  const layer = imageStatus(deps, id)?.layers.find((number) => {
    return readdirSync(deps.paths.layer(number))[0] === "model.safetensors";
  }) as number;
  const path = join(deps.paths.layer(layer), "model.safetensors");
  const bytes = readFileSync(path);
  bytes[4_000_000] = (bytes[4_000_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const target = `${registry.host}/models/copy:1`;
  const verdicts = await verifyImage(deps, call, { full: true });
  expect(verdicts.filter(({ damage }) => damage !== "")).toMatchObject([
    { entries: [{ path: "model.safetensors" }] },
  ]);
  expect(imageStatus(deps, id)).toBeNull();
  await expect(pushImage(deps, call, { image: id, target })).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
  });
  expect(await repairImage(deps, call, {})).toMatchObject([{ failure: "", layers: { length: 1 } }]);
  expect(filesOf(deps, id)).toEqual(expected(FILES));
  expect((await verifyImage(deps, call, { full: true })).every(({ damage }) => damage === "")).toBe(true);
});

it.each([
  ["a changed byte", (path: string) => writeFileSync(path, noise(5_000_001, 2))],
  ["a missing file", (path: string) => rmSync(path)],
])("%s that nobody has noticed is noticed by a push, before anything is sent", async (_, damage) => {
  const id = await pull();
  const elsewhere = await startRegistry();
  try {
    const [number = 0] = imageStatus(deps, id)?.layers ?? [];
    const layer = deps.paths.layer(number);
    damage(join(layer, readdirSync(layer)[0] ?? ""));
    const target = `${elsewhere.host}/models/copy:1`;
    await expect(pushImage(deps, call, { image: id, target })).rejects.toMatchObject({ code: "DATA_LOSS" });
    expect(imageStatus(deps, id)).toBeNull();
  } finally {
    await elsewhere.stop();
  }
});

it("is known again when the database is lost, with its config and its names", async () => {
  const config = { bytes: Buffer.from([0xff, 0, 0xfe]), mediaType: "application/x-binary" };
  const artifact = makeArtifact(FILES, {}, config);
  const image = await pushArtifact(registry.host, "models/three:1", artifact);
  await pull(image);
  await tagImage(deps, call, { source: image, target: "reg.test/mine:1" });
  await untagImage(deps, call, { reference: image, force: false });
  const before = imageStatus(deps, "reg.test/mine:1");
  await close(deps);
  for (const name of ["berth.db", "berth.db-wal", "berth.db-shm"])
    rmSync(join(root, "a", name), { force: true });
  deps = makeDeps(join(root, "a"), {});
  expect(await rebuildImages(deps, call)).toMatchObject({ rebuilt: [artifact.digest], left: 0 });
  expect(imageStatus(deps, "reg.test/mine:1")).toEqual(before);
  expect((await verifyImage(deps, call, { full: true })).every(({ damage }) => damage === "")).toBe(true);
  const elsewhere = await startRegistry();
  try {
    const target = `${elsewhere.host}/again/it:1`;
    expect((await pushImage(deps, call, { image: "reg.test/mine:1", target })).digest).toBe(artifact.digest);
    expect(await fetchBlob(elsewhere.host, "again/it", digestOf(config.bytes))).toEqual(config.bytes);
  } finally {
    await elsewhere.stop();
  }
});

describe("in an index", () => {
  const entry = (one: MadeArtifact, more: object = {}) => ({
    mediaType: mediaTypes.ociManifest,
    digest: one.digest,
    size: one.manifest.length,
    ...more,
  });
  const other = makeArtifact([{ title: "other", bytes: Buffer.from("other") }]);
  const index = async (...manifests: object[]) => {
    for (const one of [made, other]) await pushArtifact(registry.host, "models/index:x", one);
    const document = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
    await putManifest(
      registry.host,
      "models/index:1",
      Buffer.from(JSON.stringify(document)),
      mediaTypes.ociIndex,
    );
    return `${registry.host}/models/index:1`;
  };
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const here = { platform: { os: "linux", architecture } };
  const typed = { artifactType: MODEL_TYPE };

  it.each([
    ["alone without a platform", [entry(made)]],
    ["alone with its type", [entry(made, typed)]],
    [
      "for this platform",
      [
        entry(other, { ...typed, platform: { os: "linux", architecture: "s390x" } }),
        entry(made, { ...typed, ...here }),
      ],
    ],
    ["before one for anywhere", [entry(other, typed), entry(made, { ...typed, ...here })]],
    [
      "beside an attestation",
      [entry(made, typed), entry(other, { platform: { os: "unknown", architecture: "unknown" } })],
    ],
  ])("%s", async (_, manifests) => {
    const image = await index(...manifests);
    expect(await pull(image)).toBe(made.digest);
    expect(imageStatus(deps, image)?.repoTags).toEqual([image]);
  });

  it("of several nobody chooses", async () => {
    const image = await index(entry(made, typed), entry(other, typed));
    await expect(pull(image)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining(`${made.digest} (${MODEL_TYPE}), ${other.digest}`),
    });
    expect(await pull(`${registry.host}/models/index@${other.digest}`)).toBe(other.digest);
  });

  it("beside images for other machines it is no answer", async () => {
    const foreign = entry(other, { platform: { os: "linux", architecture: "s390x" } });
    await expect(pull(await index(foreign, entry(made, typed)))).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining("only for: linux/s390x"),
    });
  });
});
