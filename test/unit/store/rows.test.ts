import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  commitContainerExited,
  commitContainerPrepared,
  commitContainerStarted,
  findContainer,
  insertContainer,
  releaseContainerName,
  visibleContainers,
} from "../../../src/store/containers.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import {
  commitPodReady,
  commitPodReleased,
  findPod,
  insertPod,
  markPodStopped,
  releasePodKey,
  setNetworkHeld,
  unfinishedPodIds,
} from "../../../src/store/pods.ts";
import { lockDirectory } from "../../../src/store/root-lock.ts";
import { containerConfig, podConfig } from "../containers/world.ts";

function withPod(store: Store = openStore(":memory:"), id = "p"): Store {
  insertPod(store, {
    id,
    config: podConfig(),
    handler: "",
    createdAt: 1,
    netnsPath: "/n",
    cgroupPath: "/c",
    bootId: "b",
  });
  return store;
}

const READY = { readyAt: 2, monitor: { pid: 3, startTime: 4 }, network: { ips: ["10.0.0.1"] } };

describe("pods", () => {
  test("a row tells what was written", () => {
    const store = withPod();
    commitPodReady(store, "p", READY);
    expect(findPod(store, "p")).toMatchObject({ ...READY, config: podConfig(), stoppedAt: null });
  });

  test("the key is unique, until it is released", () => {
    const store = withPod();
    expect(() => withPod(store, "q")).toThrow(/UNIQUE/);
    releasePodKey(store, "p");
    releasePodKey(store, "p");
    withPod(store, "q");
    expect(findPod(store, "p")?.config.metadata.uid).toBe("u1");
  });

  test("the key of a ready pod is not released", () => {
    const store = withPod();
    commitPodReady(store, "p", READY);
    releasePodKey(store, "p");
    expect(() => withPod(store, "q")).toThrow(/UNIQUE/);
  });

  test("a stopped pod is unfinished while something is held", () => {
    const store = withPod();
    expect(unfinishedPodIds(store)).toEqual(["p"]);
    setNetworkHeld(store, "p", true);
    commitPodReady(store, "p", READY);
    expect(unfinishedPodIds(store)).toEqual([]);
    markPodStopped(store, "p", 9);
    markPodStopped(store, "p", 10);
    expect(unfinishedPodIds(store)).toEqual(["p"]);
    expect(findPod(store, "p")?.stoppedAt).toBe(9);
    commitPodReleased(store, "p");
    expect(unfinishedPodIds(store)).toEqual(["p"]);
    setNetworkHeld(store, "p", false);
    expect(unfinishedPodIds(store)).toEqual([]);
  });
});

describe("containers", () => {
  const user = { uid: 1, gid: 2, groups: [2, 3] };
  const execTemplate = {
    env: ["A=\xff"],
    workingDir: "/",
    user,
    privileged: false,
    security: containerConfig().security,
  };
  const runtime = { handler: null, hooks: { poststop: [{ path: "/h", args: ["h"], env: [], timeout: 1 }] } };
  const exit = { finishedAt: 9, exitCode: 1, signal: 0, oomKilled: true, reason: "OOMKilled", message: "" };

  function withContainer(id = "c", store = withPod()): Store {
    insertContainer(store, {
      id,
      podId: "p",
      config: containerConfig(),
      imageId: "i",
      imageRef: "r",
      createdAt: 1,
      cgroupPath: "/c/c",
      logPath: "",
      stopSignal: 15,
      user,
      execTemplate,
      runtime,
    });
    return store;
  }

  test("what an insertion returns is what the row tells", () => {
    const store = withPod();
    const config = containerConfig();
    const facts = {
      config,
      createdAt: 1,
      cgroupPath: "/c/c",
      logPath: "",
      stopSignal: 15,
      user,
      execTemplate,
    };
    const image = { imageId: "i", imageRef: "r" };
    const inserted = insertContainer(store, { id: "c", podId: "p", ...image, ...facts, runtime });
    expect(inserted).toEqual(findContainer(store, "c"));
  });

  test("a row tells what was written, bytes included", () => {
    const store = withContainer();
    commitPodReady(store, "p", READY);
    expect(visibleContainers(store, "p")).toEqual([]);
    expect(unfinishedPodIds(store)).toEqual(["p"]);
    const process = { pid: 7, startTime: 8 };
    commitContainerPrepared(store, "c", { preparedAt: 2, process, user, execTemplate });
    commitContainerStarted(store, "c", 3);
    expect(visibleContainers(store, "p")).toEqual([findContainer(store, "c")]);
    expect(findContainer(store, "c")).toMatchObject({
      process,
      execTemplate,
      runtime,
      startedAt: 3,
      snapshot: 1,
    });
    expect(unfinishedPodIds(store)).toEqual([]);
  });

  test("the first word on an exit stays", () => {
    const store = withContainer();
    expect(commitContainerExited(store, "c", exit)).toBe(false);
    const process = { pid: 7, startTime: 8 };
    commitContainerPrepared(store, "c", { preparedAt: 2, process, user, execTemplate });
    expect(commitContainerExited(store, "c", exit)).toBe(true);
    expect(commitContainerExited(store, "c", { ...exit, exitCode: 0 })).toBe(false);
    expect(findContainer(store, "c")).toMatchObject(exit);
  });

  test("snapshot numbers are never given twice", () => {
    const store = withContainer();
    releaseContainerName(store, "c");
    withContainer("d", store);
    store.exec("DELETE FROM containers WHERE id = 'd'");
    withContainer("e", store);
    expect(findContainer(store, "e")?.snapshot).toBe(3);
  });
});

test("a directory has one daemon at a time", { timeout: 10_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "berth-unit-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const first = lockDirectory(directory, 0);
  expect(() => lockDirectory(directory, 0)).toThrow("another berthd uses");
  first.release();
  lockDirectory(directory, 0).release();
});
