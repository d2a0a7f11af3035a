// What hostile registries, images, clients and a careless administrator send through the daemon. Each gets
// an error that says what is wrong, nothing stays behind, and the daemon serves on.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mediaTypes } from "../../src/types/oci-image.ts";
import { makeTar, type TarEntrySpec } from "../kernel/layers/tar-builder.ts";
import { sha256 } from "../unit/images/support/fake-layers.ts";
import { RegistryServer } from "../unit/images/support/registry-server.ts";
import { Daemon } from "./daemon.ts";
import { PROBE, Stage } from "./support/stage.ts";

const LIMIT_BYTES = 32 * 1024 * 1024;
const MEBIBYTE = 1024 * 1024;
const BOMB_MEBIBYTES = 1024;
const program = readFileSync(join(import.meta.dirname, "../../out/native/Release/probe"));
const PROGRAM: TarEntrySpec = { path: "probe", mode: 0o755, data: program };

let stage: Stage;
let daemon: Daemon;
const registry = new RegistryServer();
beforeAll(async () => {
  await registry.listen();
  stage = await Stage.make([PROBE], [], { toml: `[images]\nmax_layer_unpacked_bytes = ${LIMIT_BYTES}` });
  daemon = stage.daemon;
});
afterAll(async () => {
  await stage.remove();
  await registry.close();
});

let before: string[];
beforeEach(() => {
  before = daemon.inventory();
  registry.intercept = () => false;
});
afterEach(async () => {
  await stage.removePods();
  await daemon.ask("removeImage", { image: { image: image() } });
  expect(await daemon.leaks(before)).toEqual([]);
  // It serves on.
  const pod = await stage.runPod("after");
  const id = await stage.run(pod, "c", PROBE, ["/probe", "exit", "11"]);
  expect((await stage.exited(id)).exitCode).toBe(11);
  await stage.removePod(pod);
});

const image = () => `${registry.host}/bad/image:1`;
const pull = () => daemon.ask("pullImage", { image: { image: image() } });
const failsWith = (code: status, text: RegExp) => ({ code, details: expect.stringMatching(text) });

interface Lies {
  blob?: Buffer;
  layerDigest?: string;
  layerSize?: number;
  diffId?: string;
  mediaType?: string;
}

/** Publishes an image of one layer, with whatever is not true about it. */
function publish(tar: Buffer, lies: Lies = {}): void {
  const blob = lies.blob ?? gzipSync(tar, { level: 1 });
  const digest = lies.layerDigest ?? sha256(blob);
  registry.blobs.set(digest, blob);
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const rootfs = { type: "layers", diff_ids: [lies.diffId ?? sha256(tar)] };
  const config = registry.addBlob(
    Buffer.from(JSON.stringify({ architecture, os: "linux", config: { Cmd: ["/probe"] }, rootfs })),
  );
  const layer = {
    mediaType: lies.mediaType ?? "application/vnd.oci.image.layer.v1.tar+gzip",
    digest,
    size: lies.layerSize ?? blob.length,
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: config.digest, size: config.bytes.length },
    layers: [layer],
  };
  registry.addManifest("bad/image", "1", manifest, mediaTypes.ociManifest);
}

async function output(command: string[]): Promise<string> {
  const pod = await stage.runPod("bad");
  const id = await stage.run(pod, "c", image(), command);
  await stage.exited(id);
  return stage.output("bad", "c");
}

describe("images", () => {
  test.each<[string, TarEntrySpec[], RegExp]>([
    ["a path with ..", [{ path: "../../escaped", data: "x" }], /escapes the layer .*escaped/],
    [
      "a hard link out of the layer",
      [{ path: "x", type: "1", link: "../../etc/passwd" }],
      /escapes the layer/,
    ],
    ["a hard link to the host's files", [{ path: "x", type: "1", link: "/etc/shadow" }], /not in this layer/],
    ["a damaged header", [{ path: "x", data: "x", badChecksum: true }], /header is damaged/],
    ["a size beyond the archive", [{ path: "x", data: "x", claimedSize: 9999 }], /ends|truncated|short/],
    ["a size beyond all bounds", [{ path: "x", data: "x", claimedSize: 2 ** 50 }], /limit|larger|ends/],
  ])("%s is refused", async (_, entries, text) => {
    publish(makeTar([PROGRAM, ...entries]));
    await expect(pull()).rejects.toMatchObject({ details: expect.stringMatching(text) });
    await expect(pull()).rejects.not.toMatchObject({ code: status.INTERNAL });
  });

  test("absolute paths and links out of the layer stay inside", async () => {
    const { folder } = daemon.scratch;
    publish(
      makeTar([
        PROGRAM,
        { path: `/${folder}/absolute`, data: "evil" },
        { path: "trap", type: "2", link: folder },
        { path: "trap/through-a-link", data: "evil" },
        { path: "up", type: "2", link: "../../../../../../../.." },
        { path: `up${folder}/upwards`, data: "evil" },
      ]),
    );
    await pull();
    const names = ["absolute", "through-a-link", "upwards"];
    for (const name of names) expect(existsSync(join(folder, name))).toBe(false);
    expect(await output(["/probe", "read", `${folder}/absolute`])).toContain("evil");
  });

  test("links in place of what a container needs lead nowhere outside", async () => {
    const { folder } = daemon.scratch;
    const links = ["etc", "data"].flatMap((path) => [
      { path: `${folder}/in/${path}`, type: "5" },
      { path, type: "2", link: `${folder}/in/${path}` },
    ]);
    publish(makeTar([PROGRAM, ...links]));
    await pull();
    const pod = await stage.runPod("bad");
    const id = await stage.run(pod, "c", image(), ["/probe", "write", "/data/from-inside", "x"]);
    expect((await stage.exited(id)).exitCode).toBe(0);
    expect(existsSync(join(folder, "in"))).toBe(false);
  });

  test("a link in place of /dev, /proc or /sys is refused", async () => {
    for (const path of ["dev", "proc", "sys"]) {
      publish(makeTar([PROGRAM, { path: "other", type: "5" }, { path, type: "2", link: "/other" }]));
      await pull();
      const pod = await stage.runPod("linked");
      await expect(stage.create(pod, "c", image(), ["/probe"])).rejects.toThrow(`"/${path}"`);
      await stage.removePod(pod);
      await daemon.ask("removeImage", { image: { image: image() } });
    }
  });

  test("a device node of the host's disk opens nothing", async () => {
    publish(makeTar([PROGRAM, { path: "disk", type: "4", mode: 0o666, major: 254, minor: 0 }]));
    const pulled = await pull().then(
      () => true,
      () => false,
    );
    if (pulled)
      expect(await output(["/probe", "read", "/disk"])).toMatch(/EACCES|EPERM|ENOENT|denied|permitted/i);
  });

  test("a lying digest, a lying size, a lying diff ID", async () => {
    const tar = makeTar([PROGRAM]);
    publish(tar, { layerDigest: `sha256:${"0".repeat(64)}` });
    await expect(pull()).rejects.toMatchObject(failsWith(status.DATA_LOSS, /digest/));
    const { length } = gzipSync(tar, { level: 1 });
    for (const layerSize of [length - 1, length + 1]) {
      publish(tar, { layerSize });
      await expect(pull()).rejects.toMatchObject(failsWith(status.DATA_LOSS, /bytes|size/));
    }
    publish(tar, { diffId: `sha256:${"1".repeat(64)}` });
    await expect(pull()).rejects.toMatchObject(failsWith(status.DATA_LOSS, /diff ?ID/i));
  });

  test("truncated gzip, and no gzip at all", async () => {
    const tar = makeTar([PROGRAM]);
    publish(tar, { blob: gzipSync(tar).subarray(0, 20_000) });
    await expect(pull()).rejects.toMatchObject(failsWith(status.INVALID_ARGUMENT, /gzip|inflate|ends/));
    publish(tar, { blob: Buffer.from("this is not gzip") });
    await expect(pull()).rejects.toMatchObject(failsWith(status.INVALID_ARGUMENT, /./));
  });

  test("a bomb of zeros hits the limit", async () => {
    const size = BOMB_MEBIBYTES * MEBIBYTE;
    const header = makeTar([{ path: "zeros", claimedSize: size }]).subarray(0, 512);
    const zeros = gzipSync(Buffer.alloc(MEBIBYTE));
    const blob = Buffer.concat([gzipSync(header), ...Array.from({ length: BOMB_MEBIBYTES }, () => zeros)]);
    publish(header, { blob });
    await expect(pull()).rejects.toMatchObject(failsWith(status.RESOURCE_EXHAUSTED, /limit/));
  });

  test("an index without our platform says which there are", async () => {
    const digest = sha256(Buffer.from("absent"));
    const manifests = ["s390x", "riscv64"].map((architecture) => ({
      mediaType: mediaTypes.ociManifest,
      digest,
      size: 7,
      platform: { os: "linux", architecture },
    }));
    registry.addManifest("bad/image", "1", { schemaVersion: 2, manifests }, mediaTypes.ociIndex);
    await expect(pull()).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: expect.stringMatching(/s390x.*riscv64/),
    });
  });

  test.each<[string, string]>([
    ["no JSON", "not JSON {"],
    ["no object", "[]"],
    ["null", "null"],
    ["other fields", '{"schemaVersion": 2, "layers": 7}'],
    ["deep nesting", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ])("a manifest that is %s", async (_, text) => {
    registry.manifests.set("bad/image/1", { type: mediaTypes.ociManifest, bytes: Buffer.from(text) });
    await expect(pull()).rejects.toMatchObject({ code: status.DATA_LOSS });
  });

  test("a manifest larger than the limit", async () => {
    const bytes = Buffer.alloc(5 * MEBIBYTE, " ");
    registry.manifests.set("bad/image/1", { type: mediaTypes.ociManifest, bytes });
    await expect(pull()).rejects.toMatchObject({
      details: expect.stringMatching(/longer than 4194304 bytes/),
    });
  });

  test("a registry that hangs up in the middle", async () => {
    publish(makeTar([PROGRAM]));
    registry.intercept = (_, response, url) => {
      if (!url.pathname.includes("/manifests/")) return false;
      response.writeHead(200, { "content-length": 1000 });
      response.write("{");
      setImmediate(() => response.destroy());
      return true;
    };
    await expect(pull()).rejects.toMatchObject({ details: expect.stringMatching(/^RegistryUnavailable/) });
  });
});

describe("configuration", () => {
  test.each([
    ["[images]\nmax_layer = 3", '"images.max_layers"'],
    ['[images]\nmax_layers = "many"', "images.max_layers"],
    ["[registry\n", "berth.toml"],
  ])("%j is refused at the start", async (toml, text) => {
    const bad = new Daemon({ toml });
    try {
      await expect(bad.start()).rejects.toThrow(text);
    } finally {
      await bad.remove();
    }
  });
});

describe("requests", () => {
  const metadata = { name: "p", namespace: "n", uid: "u" };
  test.each<[string, string, object, RegExp]>([
    ["no pod config", "runPodSandbox", {}, /config/],
    ["no pod metadata", "runPodSandbox", { config: {} }, /metadata/],
    ["an empty pod name", "runPodSandbox", { config: { metadata: { name: "" } } }, /name/],
    ["a name server with a newline", "runPodSandbox", podWith({ dnsConfig: { servers: ["1\n2"] } }), /dns/],
    ["a log directory that is not absolute", "runPodSandbox", podWith({ logDirectory: "../x" }), /log/],
    [
      "a cgroup parent that leads out",
      "runPodSandbox",
      podWith({ linux: { cgroupParent: "/../x" } }),
      /cgroup/,
    ],
    ["no image", "pullImage", {}, /image/],
    ["an image of no name", "pullImage", { image: { image: "Bad Name//" } }, /Bad Name/],
    ["no container config", "createContainer", { podSandboxId: "x" }, /config/],
    ["an empty command", "execSync", { containerId: "x" }, /cmd|command/],
  ])("%s: INVALID_ARGUMENT", async (_, method, request, text) => {
    await expect(daemon.ask(method, request)).rejects.toMatchObject(failsWith(status.INVALID_ARGUMENT, text));
  });

  function podWith(more: object): object {
    return { config: { metadata, ...more } };
  }

  test.each([
    ["startContainer", { containerId: "none" }],
    ["containerStatus", { containerId: "../../etc" }],
    ["podSandboxStatus", { podSandboxId: "none" }],
    ["reopenContainerLog", { containerId: "none" }],
    ["execSync", { containerId: "none", cmd: ["true"] }],
    [
      "createContainer",
      { podSandboxId: "none", config: { metadata: { name: "c" }, image: { image: PROBE } } },
    ],
  ])("%s of what is not there: NOT_FOUND", async (method, request) => {
    await expect(daemon.ask(method, request)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("a log path that leads out, a mount that does, a device that is not there", async () => {
    const pod = await stage.runPod("requests");
    const create = (changes: object) => stage.create(pod, "c", PROBE, ["/probe"], changes);
    await expect(create({ logPath: "../../../escaped.log" })).rejects.toMatchObject(
      failsWith(status.INVALID_ARGUMENT, /log/),
    );
    const outside = { containerPath: "/../../x", hostPath: "relative" };
    await expect(create({ mounts: [outside] })).rejects.toThrow("relative");
    const device = { containerPath: "/dev/x", hostPath: "/dev/no-such", permissions: "rwm" };
    await expect(create({ devices: [device] })).rejects.toThrow("/dev/no-such");
    const id = await stage.run(pod, "ok", PROBE, ["/probe", "exit", "0"]);
    expect((await stage.exited(id)).exitCode).toBe(0);
  });
});
