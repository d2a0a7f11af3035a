// What the List calls answer, after every kind of change, beside what the generated code makes of the rows.

import { describe, expect, it, onTestFinished, vi } from "vitest";
import { containerToProto } from "../../../src/cri/container-to-proto.ts";
import { imageServiceDefinition, runtimeServiceDefinition } from "../../../src/cri/encoded-lists.ts";
import { imageToProto } from "../../../src/cri/image-to-proto.ts";
import { podSandboxToProto } from "../../../src/cri/pod-to-proto.ts";
import * as proto from "../../../src/gen/runtime/v1/api.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { EncodedList, encodeBatches, encodeList, encodePiece } from "../../../src/lib/encode-list.ts";
import {
  commitContainerExited,
  commitContainerResources,
  markContainerRemoving,
} from "../../../src/store/containers.ts";
import { deleteRef, putRefs, setPins } from "../../../src/store/image-refs.ts";
import { deleteImage, listImageRows } from "../../../src/store/images.ts";
import type { Store } from "../../../src/store/open.ts";
import { setPodNetwork } from "../../../src/store/pods.ts";
import { IMAGE_ID } from "../containers/world.ts";
import { allContainers, allPods } from "../support/all-rows.ts";
import { type Edge, makeEdge } from "./edge.ts";

/** The answers, made anew of whole rows. */
function expected(store: Store) {
  const containers = allContainers(store)
    .filter(({ preparedAt }) => preparedAt !== null)
    .map((row) => {
      const image = imageStatus({ store }, row.imageId);
      const imageNames = { tag: image?.repoTags[0] ?? null, digest: image?.repoDigests[0] ?? null };
      return containerToProto({ ...row, imageNames });
    });
  const items = allPods(store)
    .filter(({ readyAt }) => readyAt !== null)
    .map(podSandboxToProto);
  const images = listImageRows(store).map(imageToProto);
  // As a client sees them.
  return {
    containers: proto.ListContainersResponse.decode(
      proto.ListContainersResponse.encode({ containers }).finish(),
    ),
    pods: proto.ListPodSandboxResponse.decode(proto.ListPodSandboxResponse.encode({ items }).finish()),
    images: proto.ListImagesResponse.decode(proto.ListImagesResponse.encode({ images }).finish()),
  };
}

async function answered(edge: Edge) {
  return {
    containers: await edge.ask("listContainers", {}),
    pods: await edge.ask("listPodSandbox", {}),
    images: await edge.ask("listImages", {}),
  };
}

it("show the rows as they are after every change", async () => {
  const edge = await makeEdge();
  const { deps } = edge.world;
  const { store } = deps;
  const config = proto.ContainerConfig.fromPartial({
    metadata: { name: "c", attempt: 0 },
    image: { image: IMAGE_ID },
    labels: { tier: "front" },
    annotations: { note: "ü".repeat(300) },
  });
  const metadata = { name: "web", uid: "u", namespace: "default", attempt: 0 };
  const pod = proto.PodSandboxConfig.fromPartial({ metadata, labels: { app: "web" } });
  let [podSandboxId, containerId] = ["", ""];
  const exit = { finishedAt: 5, exitCode: 0, signal: 0, oomKilled: false, reason: "Completed", message: "" };
  const tag = (ref: string) => ({ ref, kind: "tag" as const });
  const exec = (sql: string) => store.exec(sql);
  const changes: [string, () => unknown][] = [
    ["nothing yet", () => {}],
    [
      "a pod runs",
      async () => {
        const answer = await edge.ask<proto.RunPodSandboxResponse>("runPodSandbox", { config: pod });
        podSandboxId = answer.podSandboxId;
      },
    ],
    [
      "a container is made",
      async () => {
        const request = { podSandboxId, config };
        const answer = await edge.ask<proto.CreateContainerResponse>("createContainer", request);
        containerId = answer.containerId;
      },
    ],
    ["it starts", () => edge.ask("startContainer", { containerId })],
    ["its image gets a tag", () => putRefs(store, IMAGE_ID, [tag("reg.test/a:2")])],
    ["a tag that comes first", () => putRefs(store, IMAGE_ID, [tag("reg.test/a:1")])],
    ["a digest", () => putRefs(store, IMAGE_ID, [{ ref: "reg.test/a@sha256:d", kind: "digest" }])],
    ["a layer of it is damaged", () => exec("UPDATE layers SET damage = 'gone'")],
    ["and mended", () => exec("UPDATE layers SET damage = NULL")],
    ["it is pinned", () => setPins(store, [{ pattern: "reg.test/*", exact: false }])],
    ["and not any more", () => setPins(store, [])],
    ["a tag goes to another image", () => moveTag(store)],
    ["a tag is taken away", () => deleteRef(store, "reg.test/a:2")],
    ["its resources change", () => commitContainerResources(store, containerId, RESOURCES)],
    [
      "a label changes",
      () => exec(`UPDATE containers SET config = json_set(config, '$.labels.tier', 'back')`),
    ],
    ["a label of the pod", () => exec(`UPDATE pods SET config = json_set(config, '$.labels.app', 'db')`)],
    ["the pod's network", () => setPodNetwork(store, podSandboxId, { ips: ["10.0.0.9"] })],
    ["the container ends", () => commitContainerExited(store, containerId, exit)],
    ["its removal begins", () => markContainerRemoving(store, containerId, 6)],
    ["it is removed", () => edge.ask("removeContainer", { containerId })],
    ["the pod stops", () => edge.ask("stopPodSandbox", { podSandboxId })],
    ["the pod is removed", () => edge.ask("removePodSandbox", { podSandboxId })],
    ["the image is removed", () => deleteImage(store, IMAGE_ID)],
  ];
  const seen = new Set<string>();
  for (const [what, change] of changes) {
    await change();
    const answers = await answered(edge);
    expect(answers, what).toEqual(expected(store));
    seen.add(JSON.stringify(answers, (_, value) => (typeof value === "bigint" ? String(value) : value)));
  }
  // All but four of the changes can be seen in a list.
  expect(seen.size).toBeGreaterThanOrEqual(changes.length - 6);
});

const RESOURCES = {
  cpuPeriod: 0,
  cpuQuota: 0,
  cpuShares: 77,
  memoryLimitBytes: 0,
  oomScoreAdj: 5,
  cpusetCpus: "",
  cpusetMems: "",
  hugepageLimits: [],
  unified: {},
  memorySwapLimitBytes: 0,
};

function moveTag(store: Store): void {
  store.exec(`INSERT INTO images (id, size, config, config_json, manifest_digest, manifest, manifest_type,
      architecture, os, pulled_at)
    SELECT 'sha256:other', size, config, config_json, manifest_digest, manifest, manifest_type, architecture,
      os, 2 FROM images`);
  putRefs(store, "sha256:other", [{ ref: "reg.test/a:1", kind: "tag" }]);
}

const bytesOf = (list: EncodedList): Buffer => {
  const bytes = Buffer.alloc(list.byteLength + 5);
  expect(list.copy(bytes, 5)).toBe(list.byteLength);
  return bytes.subarray(5);
};

it("are the bytes of the generated code, whole and in batches", async () => {
  const containers = Array.from({ length: 250 }, (_, index) =>
    proto.Container.fromPartial({ id: `c${index}`, annotations: { note: "ü".repeat(index) } }),
  );
  const piece = (container: proto.Container) => encodePiece(proto.Container, container);
  const whole = bytesOf(await encodeList(containers, piece));
  expect(whole).toEqual(Buffer.from(proto.ListContainersResponse.encode({ containers }).finish()));
  expect((await encodeList([], piece)).byteLength).toBe(0);
  const batches: Buffer[] = [];
  for await (const batch of encodeBatches(containers, piece)) batches.push(bytesOf(batch));
  expect(batches).toHaveLength(3);
  expect(Buffer.concat(batches)).toEqual(whole);
  for await (const batch of encodeBatches([], piece)) expect(batch).toBe("none");
});

it.each(
  Object.entries({ ...runtimeServiceDefinition, ...imageServiceDefinition }).filter(
    ([name]) => /^(list|stream)/.test(name) && name !== "listMetricDescriptors",
  ),
)("%s has the one field that is encoded by hand", (_, { responseDeserialize, responseSerialize }) => {
  const one = Buffer.from([(1 << 3) | 2, 0]);
  expect(Object.values(responseDeserialize(one))).toEqual([[expect.any(Object)]]);
  const list = new EncodedList([one]);
  expect((responseSerialize as (answer: EncodedList) => unknown)(list)).toBe(list);
});

describe("the frame of a large answer", () => {
  const note = "x".repeat(50_000);
  const metadata = (name: string) => ({ name, uid: "u", namespace: "n", attempt: 0 });
  async function edgeWithPods(): Promise<Edge> {
    const edge = await makeEdge();
    for (const name of ["a", "b", "c"]) {
      const config = proto.PodSandboxConfig.fromPartial({ metadata: metadata(name), annotations: { note } });
      await edge.ask("runPodSandbox", { config });
    }
    return edge;
  }
  /** Frames that lists were copied to. */
  function watchFrames(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    const copy = EncodedList.prototype.copy;
    vi.spyOn(EncodedList.prototype, "copy").mockImplementation(function (this: EncodedList, frame, start) {
      frames.push(frame);
      return copy.call(this, frame, start);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    return frames;
  }

  it("arrives as it was, and its memory is given back then", async () => {
    const edge = await edgeWithPods();
    const frames = watchFrames();
    for (let times = 0; times < 3; times++) {
      const { items } = await edge.ask<proto.ListPodSandboxResponse>("listPodSandbox", {});
      expect(items.map(({ annotations }) => annotations.note)).toEqual([note, note, note]);
    }
    const streamed = await edge.collect<proto.StreamPodSandboxesResponse>("streamPodSandboxes", {});
    expect(streamed.flatMap(({ podSandboxes }) => podSandboxes)).toHaveLength(3);
    expect(frames).toHaveLength(4);
    await expect.poll(() => frames.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0, 0]);
  });
});
