// Artifacts as those see them who pull and mount them: the CRI, the command line, containers.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import Database from "better-sqlite3";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Image, NamespaceMode } from "../../src/gen/runtime/v1/api.ts";
import { digestOf, fetchManifest, MODEL_TYPE, makeArtifact, pushArtifact } from "../images/artifact.ts";
import { startRegistry } from "../images/registry.ts";
import { BUSYBOX, Stage } from "./support/stage.ts";

const RUNTIMES = ["crun", "runc"];
const TOML = RUNTIMES.map((name) => `[handlers.${name}]\ntype = "oci"\npath = "/usr/bin/${name}"`).join("\n");
const SLEEP = ["sleep", "1000"];
const RANGE = [{ containerId: 0, hostId: 300_000, length: 65_536 }];

const WEIGHTS = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 31) & 0xff));
const untitled = Buffer.from("no title");
const made = makeArtifact([
  { title: "model.bin", bytes: WEIGHTS },
  { title: "config/settings.json", bytes: Buffer.from('{"a":1}') },
  { title: "config/-odd name", bytes: Buffer.from("odd") },
  { bytes: untitled },
  { title: "sums/by-sha512", bytes: Buffer.from("512"), algorithm: "sha512" },
]);
const SUM = digestOf(WEIGHTS).slice("sha256:".length);

let stage: Stage;
let model: string;
let empty: string;
let many: string;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX], [], { toml: TOML });
  const { host } = stage.registry;
  model = await pushArtifact(host, "models/one:1", made);
  empty = await pushArtifact(host, "models/none:1", makeArtifact([]));
  const blobs = Array.from({ length: 499 }, (_, n) => ({
    title: `d/${n % 7}/${n}`,
    bytes: Buffer.from(`${n}`),
  }));
  many = await pushArtifact(host, "models/many:1", makeArtifact(blobs));
  for (const image of [model, empty, many]) await stage.daemon.ask("pullImage", { image: { image } });
});
afterAll(() => stage.remove());
afterEach(() => stage.removePods());

const volume = (image: string, more: object = {}) => ({
  mounts: [{ containerPath: "/data", image: { image }, readonly: true, ...more }],
});
const sh = async (id: string, command: string) => await stage.exec(id, "sh", "-c", command);

const inUserns = {
  linux: {
    securityContext: {
      namespaceOptions: { usernsOptions: { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE } },
    },
  },
};

describe.each([
  ["natively", "", {}],
  ["natively in a user namespace", "", inUserns],
  ...RUNTIMES.flatMap((name) => [
    [`by ${name}`, name, {}],
    [`by ${name} in a user namespace`, name, inUserns],
  ]),
] as [string, string, object][])("mounted %s", (_, handler, changes) => {
  test("it shows its files, read-only; parts of it too", async () => {
    const pod = await stage.runPod("model", changes, handler);
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, { ...changes, ...volume(model) });
    const seen = await sh(
      id,
      "cd /data && find . -type f | sort && sha256sum model.bin && stat -c '%a %u:%g %Y' model.bin config",
    );
    const names = ["./config/-odd name", "./config/settings.json", "./model.bin"];
    const unnamed = `./${digestOf(untitled).replace(":", "-")}`;
    expect(seen.out.split("\n")).toEqual([
      ...names,
      unnamed,
      "./sums/by-sha512",
      `${SUM}  model.bin`,
      "644 0:0 0",
      "755 0:0 0",
      "",
    ]);
    expect(
      (await sh(id, "echo x > /data/model.bin; touch /data/new; rm /data/config/settings.json")).err.match(
        /Read-only/g,
      ),
    ).toHaveLength(3);
    const part = volume(model, { imageSubPath: "config/settings.json" });
    const file = await stage.run(pod, "part", BUSYBOX, SLEEP, { ...changes, ...part });
    expect((await sh(file, "cat /data")).out).toBe('{"a":1}');
  });

  test("without any blob it is an empty directory", async () => {
    const pod = await stage.runPod("empty", changes, handler);
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, { ...changes, ...volume(empty) });
    expect((await sh(id, "ls -A /data; stat -c %a:%u /data; touch /data/x")).out).toBe("755:0\n");
  });

  test("with as many blobs as an overlay has room for", async () => {
    const pod = await stage.runPod("many", changes, handler);
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, { ...changes, ...volume(many) });
    expect((await sh(id, "find /data -type f | wc -l; cat /data/d/0/7 /data/d/1/498")).out).toBe("499\n7498");
  });
});

test("on kernels before 6.7 too, whose mount(2) takes all layers in one page", async () => {
  const older = await Stage.make([BUSYBOX], [], { head: "force_legacy_overlay = true" });
  try {
    // The numbers of layers get longer: from here on four digits.
    await older.daemon.stop();
    const database = new Database(join(older.daemon.scratch.root, "berth.db"));
    database.exec("UPDATE sqlite_sequence SET seq = 100000 WHERE name = 'layers'");
    database.close();
    await older.daemon.start();
    for (const image of [many, empty]) await older.daemon.ask("pullImage", { image: { image } });
    const pod = await older.runPod("many", inUserns);
    const id = await older.run(pod, "c", BUSYBOX, SLEEP, { ...inUserns, ...volume(many) });
    expect((await older.exec(id, "sh", "-c", "find /data -type f | wc -l; cat /data/d/1/498")).out).toBe(
      "499\n498",
    );
    const none = await older.run(pod, "none", BUSYBOX, SLEEP, { ...inUserns, ...volume(empty) });
    expect((await older.exec(none, "ls", "-A", "/data")).out).toBe("");
  } finally {
    await older.remove();
  }
});

test("one with more blobs is refused when it is pulled", async () => {
  const blobs = Array.from({ length: 500 }, (_, n) => ({ title: `${n}`, bytes: Buffer.from(`${n}`) }));
  const image = await pushArtifact(stage.registry.host, "models/more:1", makeArtifact(blobs));
  await expect(stage.daemon.ask("pullImage", { image: { image } })).rejects.toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    details: expect.stringContaining("500 blobs, the limit is 499"),
  });
});

test("no container is made from it, and the error says what to do", async () => {
  const pod = await stage.runPod("refused");
  const inventory = stage.daemon.inventory();
  await expect(stage.create(pod, "c", model, SLEEP)).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
    details: expect.stringMatching(/artifact of type "application\/vnd\.test\.model\.v1"; mount it/),
  });
  expect(await stage.daemon.leaks(inventory)).toEqual([]);
  const ran = await stage.daemon.tryBerth("run", "--rm", model, "true");
  expect([ran.code === 0, ran.stderr]).toEqual([
    false,
    expect.stringContaining("mount it as an image volume"),
  ]);
});

test("the CRI tells what it is, and keeps it while it is mounted", async () => {
  const { daemon } = stage;
  const { images } = await daemon.ask<{ images: Image[] }>("listImages", {});
  const listed = images.find(({ repoTags }) => repoTags.includes(model));
  expect(listed).toMatchObject({
    id: made.digest,
    spec: { annotations: { "io.berth.artifact-type": MODEL_TYPE } },
    pinned: false,
  });
  expect(images.find(({ repoTags }) => repoTags.includes(BUSYBOX))?.spec ?? null).toBeNull();
  const request = { image: { image: model }, verbose: true };
  const { image, info } = await daemon.ask<{ image: Image; info: Record<string, string> }>(
    "imageStatus",
    request,
  );
  expect(image).toEqual(listed);
  expect(JSON.parse(info.info ?? "")).toMatchObject({
    artifactType: MODEL_TYPE,
    manifest: JSON.parse(made.manifest.toString()),
    files: [{ name: "model.bin", size: WEIGHTS.length }, {}, {}, {}, {}],
  });
  const shown = JSON.parse(await daemon.crictl("inspecti", "-o", "json", model)) as { status: Image };
  expect(shown.status).toMatchObject({ id: made.digest, spec: { annotations: listed?.spec?.annotations } });
  expect(await daemon.crictl("images", model)).toContain("models/one");
  const pod = await stage.runPod("holds");
  const id = await stage.run(pod, "c", BUSYBOX, SLEEP, volume(model));
  expect((await stage.status(id)).mounts[0]?.image).toMatchObject({ image: model, imageRef: made.digest });
  await expect(daemon.ask("removeImage", { image: { image: model } })).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
  });
});

test("the command line: images, inspect, run with a mount, save and load, push, rmi", async () => {
  const { daemon } = stage;
  const table = await daemon.berth("images");
  expect(table).toMatch(/TYPE\n/);
  expect(table).toMatch(new RegExp(`models/one +1 .*${MODEL_TYPE}\n`));
  expect(table).toMatch(/busybox .* image\n/);
  const [seen] = JSON.parse(await daemon.berth("inspect", model)) as [Record<string, unknown>];
  expect(seen).toMatchObject({
    Id: made.digest,
    ArtifactType: MODEL_TYPE,
    Files: [
      { Name: "model.bin", Size: WEIGHTS.length, MediaType: "application/x-test" },
      { Name: "config/settings.json" },
      {},
      {},
      { Name: "sums/by-sha512" },
    ],
  });
  const mount = `type=image,source=${model},target=/m`;
  const sum = await daemon.berth(
    "run",
    "--rm",
    "--network",
    "host",
    "--mount",
    mount,
    BUSYBOX,
    "sha256sum",
    "/m/model.bin",
  );
  expect(sum.trim()).toBe(`${SUM}  /m/model.bin`);
  const archive = join(daemon.scratch.folder, "model.tar");
  const directory = join(daemon.scratch.folder, "model-layout");
  await daemon.berth("save", "--format", "oci", "-o", archive, model);
  await daemon.berth("save", "--format", "oci-dir", "-o", directory, model);
  expect(
    (await daemon.tryBerth("save", "-o", join(daemon.scratch.folder, "no.tar"), model)).stderr,
  ).toContain("in the format oci");
  const other = await startRegistry();
  try {
    const target = `${other.host}/copy/model:2`;
    await daemon.berth("tag", model, target);
    expect(await daemon.berth("push", target)).toContain(made.digest);
    expect(await fetchManifest(other.host, "copy/model:2")).toEqual(made.manifest);
    await daemon.berth("rmi", target);
  } finally {
    await other.stop();
  }
  for (const from of [archive, directory]) {
    await daemon.berth("rmi", model);
    expect(await daemon.berth("images", "--no-trunc")).not.toContain(made.digest);
    expect(await daemon.berth("load", "-i", from)).toContain(model);
    expect(await daemon.berth("images", "--no-trunc")).toContain(made.digest);
  }
});

test("it is there after a restart, after a kill, and after the loss of the database", async () => {
  const { daemon } = stage;
  const look = async () => {
    const { image } = await daemon.ask<{ image?: Image }>("imageStatus", { image: { image: model } });
    const pod = await stage.runPod("after");
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, volume(model));
    expect((await sh(id, "sha256sum < /data/model.bin")).out).toContain(SUM);
    await stage.removePod(pod);
    return image;
  };
  const before = await look();
  await daemon.restart();
  expect(await look()).toEqual(before);
  await daemon.stop();
  for (const suffix of ["", "-wal", "-shm"])
    rmSync(join(daemon.scratch.root, `berth.db${suffix}`), { force: true });
  await daemon.start();
  expect(await look()).toEqual(before);
  expect(existsSync(join(daemon.scratch.root, "images", `${made.digest.slice(7)}.json`))).toBe(true);
  expect(readFileSync(daemon.scratch.log, "utf8")).not.toContain("image not rebuilt");
});
