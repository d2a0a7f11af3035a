// Lists read what changes and remember the rest; they must never show what is not true any more.

import { expect, it } from "vitest";
import { createContainer } from "../../../src/containers/create-container.ts";
import { startContainer } from "../../../src/containers/start-container.ts";
import { listedContainerToProto } from "../../../src/cri/container-to-proto.ts";
import { runtimeServiceDefinition } from "../../../src/cri/list-serializer.ts";
import { listedPodToProto } from "../../../src/cri/pod-to-proto.ts";
import { ListContainersResponse, ListPodSandboxResponse } from "../../../src/gen/runtime/v1/api.ts";
import { removePodSandbox } from "../../../src/pods/remove-pod-sandbox.ts";
import { runPodSandbox } from "../../../src/pods/run-pod-sandbox.ts";
import { stopPodSandbox } from "../../../src/pods/stop-pod-sandbox.ts";
import { commitContainerExited } from "../../../src/store/containers.ts";
import { listedContainers, listedPods } from "../../../src/store/listed.ts";
import type { Image } from "../../../src/types/image.ts";
import { containerConfig, makeWorld, podConfig } from "../containers/world.ts";

it("shows every change of state, what is new, and nothing that is gone", async () => {
  const { deps, call } = makeWorld();
  const { store } = deps;
  const podId = await runPodSandbox(deps, call, { config: podConfig(), handler: "" });
  expect(listedContainers(store)).toEqual([]);
  const id = await createContainer(deps, call, { podId, config: containerConfig() });
  let tags = ["one:1"];
  const image = () => ({ repoTags: tags, repoDigests: [] }) as unknown as Image;
  const shown = () => listedContainers(store).map((row) => listedContainerToProto(row, image));
  expect(shown()).toMatchObject([{ id, state: 0, labels: { tier: "front" }, metadata: { name: "c" } }]);
  expect(shown()[0]).toBe(shown()[0]);
  await startContainer(deps, call, id);
  expect(shown()).toMatchObject([{ state: 1, image: { image: "one:1" } }]);
  tags = ["two:2"];
  expect(shown()).toMatchObject([{ image: { image: "two:2" } }]);
  const exit = { finishedAt: 5, exitCode: 0, signal: 0, oomKilled: false, reason: "Completed", message: "" };
  commitContainerExited(store, id, exit);
  expect(shown()).toMatchObject([{ state: 2 }]);
  expect(listedContainers(store, "0".repeat(64))).toEqual([]);

  const pods = () => listedPods(store).map(listedPodToProto);
  expect(pods()).toMatchObject([{ id: podId, state: 0 }]);
  expect(pods()[0]).toBe(pods()[0]);
  await stopPodSandbox(deps, call, podId);
  expect(pods()).toMatchObject([{ state: 1 }]);
  await removePodSandbox(deps, call, podId);
  expect([...pods(), ...shown()]).toEqual([]);
});

it("answers with the same bytes as the generated code", async () => {
  const { deps, call } = makeWorld();
  const podId = await runPodSandbox(deps, call, { config: podConfig(), handler: "" });
  for (const name of ["a", "b", "c"]) {
    const config = containerConfig({
      metadata: { name, attempt: 0 },
      annotations: { note: "ü".repeat(300) },
    });
    await createContainer(deps, call, { podId, config });
  }
  const containers = listedContainers(deps.store).map((row) => listedContainerToProto(row, () => null));
  const items = listedPods(deps.store).map(listedPodToProto);
  const { listContainers, streamContainers, listPodSandbox } = runtimeServiceDefinition;
  for (let round = 0; round < 2; round++) {
    const expected = Buffer.from(ListContainersResponse.encode({ containers }).finish());
    expect(listContainers.responseSerialize({ containers })).toEqual(expected);
    expect(streamContainers.responseSerialize({ containers })).toEqual(expected);
    const pods = Buffer.from(ListPodSandboxResponse.encode({ items }).finish());
    expect(listPodSandbox.responseSerialize({ items })).toEqual(pods);
  }
  expect(listContainers.responseSerialize({ containers: [] })).toHaveLength(0);
});
