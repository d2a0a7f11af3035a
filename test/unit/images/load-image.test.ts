import type { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { type Pack, pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { imageStatus } from "../../../src/images/image-status.ts";
import { loadImage } from "../../../src/images/load-image.ts";
import type { Call } from "../../../src/lib/call.ts";
import { isLocal, listImageRows } from "../../../src/store/images.ts";
import { mediaTypes } from "../../../src/types/oci-image.ts";
import { type Bench, makeBench, makeCall, testLimits } from "./support/bench.ts";
import { fakeLayers, sha256 } from "./support/fake-layers.ts";

let bench: Bench;
beforeEach(() => {
  bench = makeBench(fakeLayers());
});
afterEach(async () => {
  await bench.close();
});

const load = (source: AsyncIterable<Uint8Array>) => loadImage(bench.deps, makeCall(), source);

function addBlob(tar: Pack, bytes: Buffer): { digest: string; size: number } {
  const digest = sha256(bytes);
  tar.entry({ name: `blobs/${digest.replace(":", "/")}` }, bytes);
  return { digest, size: bytes.length };
}

function configOf(layer: Buffer): Buffer {
  const architecture = process.arch === "x64" ? "amd64" : "arm64";
  return Buffer.from(
    JSON.stringify({ architecture, os: "linux", rootfs: { type: "layers", diff_ids: [sha256(layer)] } }),
  );
}

/** An OCI image layout of one image; `change` edits its parts. */
function layout(annotations: object | undefined, change: { layer?: Buffer; index?: object } = {}): Readable {
  const tar = pack();
  const content = Buffer.from("content");
  const config = addBlob(tar, configOf(content));
  const layer = addBlob(tar, change.layer ?? gzipSync(content));
  const manifest = addBlob(
    tar,
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: { mediaType: mediaTypes.ociConfig, ...config },
        layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...layer }],
      }),
    ),
  );
  const entry = { mediaType: mediaTypes.ociManifest, ...manifest, annotations };
  tar.entry({ name: "oci-layout" }, '{"imageLayoutVersion":"1.0.0"}');
  tar.entry({ name: "index.json" }, JSON.stringify(change.index ?? { schemaVersion: 2, manifests: [entry] }));
  return finish(tar);
}

function finish(tar: Pack): Readable {
  tar.finalize();
  return tar as unknown as Readable;
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** A tar header with another type and size. */
function withHeader(header: Buffer, type: string, size: number): Buffer {
  const changed = Buffer.from(header);
  changed.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  changed.write(type, 156);
  changed.write(" ".repeat(8), 148);
  const sum = changed.reduce((total, byte) => total + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return changed;
}

function expectNothing() {
  expect(bench.left()).toEqual({ staging: [], layers: [] });
  expect(listImageRows(bench.deps.store)).toEqual([]);
}

describe("loadImage", () => {
  it.each([
    [
      { "io.containerd.image.name": "reg.test/a/b:v1", "org.opencontainers.image.ref.name": "v1" },
      "reg.test/a/b:v1",
    ],
    [{ "org.opencontainers.image.ref.name": "busybox:1" }, "docker.io/library/busybox:1"],
  ])("names the image as %j says", async (annotations, name) => {
    const [loaded] = await load(layout(annotations));
    expect(loaded?.references[0]).toBe(name);
    expect(imageStatus(bench.deps, name)?.id).toBe(loaded?.id);
    expect(bench.left()).toMatchObject({ staging: [], layers: { length: 1 } });
  });

  it("never leaves it to look like one that a registry has", async () => {
    const seen: boolean[] = [];
    const observeStep: Call["observeStep"] = (_verb, step, when) => {
      if (step !== "commit" || when !== "after") return;
      seen.push(...listImageRows(bench.deps.store).map(({ id }) => isLocal(bench.deps.store, id)));
      vi.setSystemTime(Date.now() - 1e9);
    };
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const [loaded] = await loadImage(bench.deps, { ...makeCall(), observeStep }, layout(undefined));
      expect(seen).toEqual([true]);
      expect(isLocal(bench.deps.store, loaded?.id ?? "")).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  it("loads an image without a name", async () => {
    const [loaded] = await load(layout({ "org.opencontainers.image.ref.name": "latest" }));
    expect(loaded?.references).toEqual([]);
    expect(imageStatus(bench.deps, loaded?.id ?? "")?.repoTags).toEqual([]);
  });

  it("loads the older form of docker save, links included", async () => {
    const tar = pack();
    const layer = Buffer.from("content");
    tar.entry({ name: "abc.json" }, configOf(layer));
    tar.entry({ name: "dir/real.tar" }, layer);
    tar.entry({ name: "other/layer.tar", type: "symlink", linkname: "../dir/real.tar" });
    const list = [{ Config: "abc.json", RepoTags: ["busybox:1"], Layers: ["other/layer.tar"] }];
    tar.entry({ name: "manifest.json" }, JSON.stringify(list));
    const [loaded] = await load(finish(tar));
    expect(loaded?.references).toEqual(["docker.io/library/busybox:1"]);
    expect(imageStatus(bench.deps, "busybox:1")?.repoDigests).toEqual([]);
  });

  it("refuses an archive with neither index nor list", async () => {
    const tar = pack();
    tar.entry({ name: "../../etc/passwd" }, "root");
    await expect(load(finish(tar))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expectNothing();
  });

  it("refuses content that is not what its name says", async () => {
    const digest = sha256(Buffer.from("other"));
    const entry = { mediaType: mediaTypes.ociManifest, digest, size: 5 };
    await expect(load(layout({}, { index: { schemaVersion: 2, manifests: [entry] } }))).rejects.toMatchObject(
      {
        code: "DATA_LOSS",
        message: expect.stringContaining(digest),
      },
    );
    await expect(load(layout({}, { layer: gzipSync("changed") }))).rejects.toThrow("diff ID");
    expectNothing();
  });

  it("says for which platforms it is", async () => {
    const platform = { os: "linux", architecture: "s390x" };
    const entry = { mediaType: mediaTypes.ociManifest, digest: sha256(Buffer.from("x")), size: 1, platform };
    await expect(load(layout({}, { index: { schemaVersion: 2, manifests: [entry] } }))).rejects.toThrow(
      "only for: linux/s390x",
    );
    expectNothing();
  });

  it("refuses what is no tar, is cut off, or never comes to a file", async () => {
    async function* pieces(bytes: Buffer, count: number) {
      for (let n = 0; n < count; n++) yield bytes;
    }
    await expect(load(pieces(Buffer.alloc(4096, "x"), 1))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    const whole = await bytesOf(layout({}));
    await expect(load(pieces(whole.subarray(0, 1300), 1))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    // A pax header that claims to be huge would be kept in memory.
    const header = withHeader(whole.subarray(0, 512), "x", 8 ** 11 - 1);
    async function* huge() {
      yield header;
      yield* pieces(Buffer.alloc(65_536), 100);
    }
    await expect(load(huge())).rejects.toThrow("Header exceeds max size");
    expectNothing();
  });

  it("refuses a file that is too long", async () => {
    const header = (await bytesOf(layout({}))).subarray(0, 512);
    async function* long() {
      yield withHeader(header, "0", testLimits.maxLayerUnpackedBytes + 1);
      for (;;) yield Buffer.alloc(1024 * 1024);
    }
    await expect(load(long())).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    expectNothing();
  });

  it("stops when its caller goes away", async () => {
    const controller = new AbortController();
    async function* endless() {
      yield (await bytesOf(layout({}))).subarray(0, 2048);
      controller.abort();
      await new Promise(() => {});
    }
    await expect(loadImage(bench.deps, makeCall(controller.signal), endless())).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expectNothing();
  });
});
