// Archives out and in again; skopeo and umoci are the judges of what they hold.

import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip, createZstdCompress } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { importImage } from "../../../src/images/import-image.ts";
import { loadImage } from "../../../src/images/load-image.ts";
import { pullImage } from "../../../src/images/pull-image.ts";
import { removeImage } from "../../../src/images/remove-image.ts";
import { type ArchiveFormat, saveImage } from "../../../src/images/save-image.ts";
import { tagImage } from "../../../src/images/tag-image.ts";
import { verifyImage } from "../../../src/images/verify-image.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { startRegistry, type TestRegistry } from "../../images/registry.ts";
import { makeDeps } from "./support/deps.ts";
import { describeTree, pushUmociImage, run, treeOf } from "./support/umoci-image.ts";

let registry: TestRegistry;
let folder: string;
let oracle: string;
let root: string;
let deps: ImageDeps;
let other: ImageDeps;

beforeAll(async () => {
  folder = mkdtempSync("/tmp/berth-e2e-archives-");
  registry = await startRegistry();
  oracle = pushUmociImage(folder, `${registry.host}/e2e/app:1`);
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  root = mkdtempSync("/tmp/berth-e2e-root-");
  deps = makeDeps(join(root, "a"), {});
  other = makeDeps(join(root, "b"), {});
});
afterEach(async () => {
  for (const one of [deps, other]) {
    await one.registry.close();
    one.store.close();
  }
  rmSync(root, { recursive: true, force: true });
});

const call = backgroundCall();
const pull = () => pullImage(deps, call, { image: `${registry.host}/e2e/app:1` });

async function save(references: string[], format: ArchiveFormat): Promise<string> {
  const path = join(root, `saved-${format}.tar`);
  const tar = await saveImage(deps, call, { references, format });
  await pipeline(Readable.from(tar), createWriteStream(path));
  return path;
}

describe.each(["docker", "oci"] as const)("saved in the form %s", (format) => {
  it("an image is loaded again with the same id, names and tree", async () => {
    const id = await pull();
    await tagImage(deps, call, { source: id, target: "mine:2" });
    const path = await save(["mine:2", `${registry.host}/e2e/app:1`], format);
    const [loaded] = await loadImage(other, call, createReadStream(path));
    expect(loaded?.id).toBe(id);
    expect(imageStatus(other, id)?.repoTags).toEqual([
      `${registry.host}/e2e/app:1`,
      "docker.io/library/mine:2",
    ]);
    expect(await treeOf(other, id, root)).toBe(oracle);
    expect(await verifyImage(other, call, { full: true })).toMatchObject(Array(3).fill({ damage: "" }));
  });

  it("umoci unpacks it to the tree that was pulled", async () => {
    await pull();
    const path = await save([`${registry.host}/e2e/app:1`], format);
    const target = join(root, "layout");
    run("mkdir", target);
    run("tar", "-xf", path, "-C", target);
    run("umoci", "unpack", "--image", `${target}:1`, join(root, "bundle"));
    expect(describeTree(join(root, "bundle/rootfs"))).toBe(oracle);
  });
});

it("skopeo reads the docker form as an archive of docker, and the OCI form as a layout", async () => {
  const id = await pull();
  await tagImage(deps, call, { source: id, target: "mine:2" });
  const docker = await save(["mine:2"], "docker");
  const copy = (from: string, to: string) => run("skopeo", "--insecure-policy", "copy", "--quiet", from, to);
  copy(`docker-archive:${docker}:mine:2`, `dir:${join(root, "dir")}`);
  const told = JSON.parse(readFileSync(join(root, "dir/manifest.json"), "utf8")) as {
    config: { digest: string };
    layers: object[];
  };
  // The docker form has no manifest of its own, but the config is the image's.
  expect(told).toMatchObject({ config: { digest: id }, layers: { length: 3 } });
  copy(`oci-archive:${await save(["mine:2"], "oci")}:2`, `oci:${join(root, "oci")}:t`);
  expect(JSON.parse(run("skopeo", "inspect", "--raw", `oci:${join(root, "oci")}:t`))).toMatchObject({
    config: { digest: id },
  });
  run("umoci", "unpack", "--image", `${join(root, "oci")}:t`, join(root, "bundle"));
  expect(describeTree(join(root, "bundle/rootfs"))).toBe(oracle);
});

it("several images share their layers in an archive, and both come back", async () => {
  const id = await pull();
  const rootfs = join(root, "rootfs");
  mkdirSync(rootfs);
  run("sh", "-ec", 'echo hello > "$1/greeting"', "sh", rootfs);
  const bytes = join(root, "rootfs.tar");
  run("tar", "-cf", bytes, "-C", rootfs, ".");
  const request = { reference: "imported:1", changes: ['CMD ["/bin/sh"]'], message: "" };
  const imported = await importImage(deps, call, request, createReadStream(bytes));
  const path = await save([`${registry.host}/e2e/app:1`, "imported:1"], "docker");
  const loaded = await loadImage(other, call, createReadStream(path));
  expect(loaded.map((image) => image.id).sort()).toEqual([id, imported].sort());
  expect(imageStatus(other, "imported:1")?.config.cmd).toEqual(["/bin/sh"]);
});

it.each([
  ["gzip", () => createGzip()],
  ["zstd", () => createZstdCompress()],
])("an archive compressed with %s is loaded as it is", async (_, compressor) => {
  const id = await pull();
  const path = await save([id], "docker");
  const compressed = Readable.from(createReadStream(path)).pipe(compressor());
  const loaded = await loadImage(other, call, compressed);
  expect(loaded).toEqual([{ id, references: [] }]);
  expect(await treeOf(other, id, root)).toBe(oracle);
});

it("an import is a root file system with the config that was asked for", async () => {
  const rootfs = join(root, "rootfs");
  run("mkdir", "-p", join(rootfs, "etc"));
  run(
    "sh",
    "-ec",
    'cd "$1"; echo x > etc/passwd; ln -s etc/passwd link; chown -h 1:2 link; touch -hd @9 link etc/passwd',
    "sh",
    rootfs,
  );
  const path = join(root, "rootfs.tar.gz");
  run("tar", "-czf", path, "-C", rootfs, ".");
  const changes = ['ENTRYPOINT ["/init"]', "ENV A=1 B='two words'", "USER 1:2", "EXPOSE 80", "WORKDIR /etc"];
  const request = { reference: "mine", changes, message: "by hand" };
  const id = await importImage(deps, call, request, createReadStream(path));
  const image = imageStatus(deps, "mine");
  expect(image).toMatchObject({
    id,
    repoTags: ["docker.io/library/mine:latest"],
    config: {
      entrypoint: ["/init"],
      env: ["A=1", "B=two words"],
      user: "1:2",
      exposedPorts: ["80/tcp"],
      workingDir: "/etc",
    },
  });
  expect(await treeOf(deps, id, root)).toBe(describeTree(rootfs));
  const saved = await save(["mine"], "oci");
  await removeImage(deps, call, id);
  await loadImage(deps, call, createReadStream(saved));
  expect(await treeOf(deps, id, root)).toBe(describeTree(rootfs));
});

it("an archive that breaks off in the middle leaves nothing", async () => {
  const id = await pull();
  const path = await save([id], "docker");
  const whole = readFileSync(path);
  const broken = Readable.from([whole.subarray(0, whole.length / 2)]);
  await expect(loadImage(other, call, broken)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  expect(existsSync(other.paths.imageRecord(id))).toBe(false);
  expect(run("ls", "-A", other.paths.staging)).toBe("");
});
