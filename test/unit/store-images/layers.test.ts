import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { durably } from "../../../src/store/durable.ts";
import { imageIdOfRef } from "../../../src/store/image-refs.ts";
import {
  deleteImage,
  getImage,
  imageIdOfManifest,
  imageIdsWithPrefix,
  putImage,
} from "../../../src/store/images.ts";
import {
  deleteLayer,
  findLayer,
  findLayerRow,
  insertLayer,
  layerUsage,
  listLayers,
  reserveLayerNumber,
  setLayerDamage,
  unreferencedLayers,
} from "../../../src/store/layers.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import {
  abandonedLayers,
  forgetRetired,
  retiredLayers,
  usersOfRetired,
} from "../../../src/store/retired-layers.ts";
import type { Layer } from "../../../src/types/image.ts";

let store: Store;
beforeEach(() => {
  store = openStore(":memory:");
});
afterEach(() => store.close());

const digest = (text: string) => `sha256:${text.padEnd(64, "0")}`;
const layer = (number: number, diffId: string): Layer => ({
  number,
  diffId: digest(diffId),
  blobDigest: digest("b"),
  blobSize: 10,
  unpackedBytes: 100,
  entries: 3,
  createdAt: 1,
});

function put(id: string, layers: Layer[], refs: string[] = []) {
  const image = {
    id: digest(id),
    size: 1,
    config: {
      user: "",
      env: [],
      entrypoint: [],
      cmd: [],
      workingDir: "",
      stopSignal: "",
      volumes: [],
      exposedPorts: [],
      labels: {},
    },
    configJson: "{}",
    manifestDigest: digest(`${id}1`),
    architecture: "amd64",
    os: "linux",
    pulledAt: 5,
  };
  const tags = refs.map((ref) => ({ ref, kind: "tag" as const }));
  durably(store, () =>
    putImage(store, {
      image,
      artifact: null,
      manifest: Buffer.from("{}"),
      manifestType: "x",
      layers,
      refs: tags,
    }),
  );
}

it("never gives a layer number twice", () => {
  expect([reserveLayerNumber(store), reserveLayerNumber(store)]).toEqual([1, 2]);
  insertLayer(store, layer(2, "a"));
  expect(reserveLayerNumber(store)).toBe(3);
  deleteLayer(store, 2);
  expect(reserveLayerNumber(store)).toBe(4);
});

it("keeps one copy per diff ID", () => {
  insertLayer(store, layer(1, "a"));
  insertLayer(store, layer(1, "a"));
  expect(() => insertLayer(store, layer(2, "a"))).toThrow("there from another pull");
  expect(findLayer(store, digest("a"))).toEqual(layer(1, "a"));
});

it("writes an image with its layers in order, and forgets it without them", () => {
  put("a", [layer(2, "2"), layer(1, "1")], ["r/x:1"]);
  put("b", [layer(1, "1")]);
  expect(getImage(store, digest("a"))).toMatchObject({ layers: [2, 1], repoTags: ["r/x:1"], pinned: false });
  expect(unreferencedLayers(store)).toEqual([]);
  deleteImage(store, digest("a"));
  expect(imageIdOfRef(store, "r/x:1")).toBeNull();
  expect(unreferencedLayers(store)).toEqual([layer(2, "2")]);
  expect(listLayers(store)).toHaveLength(2);
  expect(layerUsage(store)).toEqual({ bytes: 200, inodes: 6 });
});

it("moves a reference to the image that came last", () => {
  put("a", [], ["r/x:1"]);
  put("b", [], ["r/x:1"]);
  expect(imageIdOfRef(store, "r/x:1")).toBe(digest("b"));
  expect(getImage(store, digest("a"))?.repoTags).toEqual([]);
});

it("finds ids by their beginning", () => {
  put("aa1", []);
  put("aa2", []);
  expect(imageIdsWithPrefix(store, "aa1")).toEqual([digest("aa1")]);
  expect(imageIdsWithPrefix(store, "aa")).toHaveLength(2);
  expect(imageIdsWithPrefix(store, "ab")).toEqual([]);
});

it("writes nothing when the transaction fails", () => {
  expect(() =>
    durably(store, () => {
      insertLayer(store, layer(1, "a"));
      throw new Error("no");
    }),
  ).toThrow("no");
  expect(listLayers(store)).toEqual([]);
  expect(store.pragma("synchronous", { simple: true })).toBe(1);
});

describe("a damaged layer", () => {
  it("counts as missing, and is replaced for every image", () => {
    put("a", [layer(1, "1"), layer(2, "2")]);
    put("b", [layer(1, "1")]);
    setLayerDamage(store, 1, "a file is empty");
    expect(findLayer(store, digest("1"))).toBeUndefined();
    expect(findLayerRow(store, digest("1"))).toEqual(layer(1, "1"));
    expect(imageIdOfManifest(store, digest("a1"))).toBeNull();
    durably(store, () => insertLayer(store, layer(3, "1")));
    expect(getImage(store, digest("a"))?.layers).toEqual([3, 2]);
    expect(getImage(store, digest("b"))?.layers).toEqual([3]);
    expect(imageIdOfManifest(store, digest("a1"))).toBe(digest("a"));
    expect(listLayers(store)).toEqual([layer(2, "2"), layer(3, "1")]);
    expect(retiredLayers(store)).toEqual([1]);
    expect(abandonedLayers(store)).toEqual([1]);
  });

  it("keeps its directory while a container has it", () => {
    put("a", [layer(1, "1")]);
    store.exec(`INSERT INTO pods (id, name, namespace, uid, attempt, handler, config, created_at, netns_path,
        network, cgroup_path, boot_id) VALUES ('p', 'n', 'ns', 'u', 0, '', '{}', 1, '', '{}', '', '');
      INSERT INTO containers (id, pod_id, name, attempt, config, image_id, image_ref, created_at, user,
        cgroup_path, log_path, stop_signal, exec_template)
        VALUES ('c', 'p', 'c', 0, '{"mounts":[]}', '${digest("a")}', '', 1, '{}', '', '', 15, '{}')`);
    setLayerDamage(store, 1, "x");
    durably(store, () => insertLayer(store, layer(2, "1")));
    expect(usersOfRetired(store, 1)).toEqual(["c"]);
    expect(abandonedLayers(store)).toEqual([]);
    store.exec("DELETE FROM containers");
    expect(abandonedLayers(store)).toEqual([1]);
    forgetRetired(store, 1);
    expect(retiredLayers(store)).toEqual([]);
  });
});
