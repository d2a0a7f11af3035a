// Rows as clients see them, and messages that survive the way in and out.

import { describe, expect, it } from "vitest";
import { containerConfigFromProto } from "../../../src/cri/container-from-proto.ts";
import {
  containerStatusToProto,
  containerToProto,
  mountToProto,
  rememberImages,
  resourcesToProto,
} from "../../../src/cri/container-to-proto.ts";
import { imageToProto } from "../../../src/cri/image-to-proto.ts";
import { podConfigFromProto } from "../../../src/cri/pod-from-proto.ts";
import { namespacesToProto, podSandboxStatusToProto } from "../../../src/cri/pod-to-proto.ts";
import {
  ContainerConfig,
  ContainerStatus,
  LinuxContainerResources,
  Mount,
  NamespaceOption,
  PodSandboxConfig,
  PodSandboxStatus,
} from "../../../src/gen/runtime/v1/api.ts";
import type { Container } from "../../../src/types/container.ts";
import type { Image } from "../../../src/types/image.ts";
import type { Pod } from "../../../src/types/pod.ts";
import { containerConfig, IMAGE_ID, podConfig } from "../containers/world.ts";

const image: Image = {
  id: IMAGE_ID,
  size: 4096,
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
  artifact: null,
  configJson: "{}",
  manifestDigest: "sha256:m",
  architecture: "amd64",
  os: "linux",
  pulledAt: 1,
  pinned: false,
  repoTags: ["docker.io/library/busybox:1"],
  repoDigests: ["docker.io/library/busybox@sha256:m"],
  layers: [1],
};

function pod(changes: Partial<Pod> = {}): Pod {
  return {
    id: "p".repeat(64),
    config: podConfig({ annotations: { a: "ü" } }),
    handler: "",
    createdAt: 1_700_000_000_123_456,
    readyAt: 1_700_000_000_200_000,
    stoppedAt: null,
    removingAt: null,
    monitor: { pid: 7, startTime: 1 },
    netnsPath: "/run/netns/x",
    networkHeld: true,
    network: { ips: ["10.88.0.2", "fd00::2"] },
    cgroupPath: "/sys/fs/cgroup/x",
    bootId: "b",
    ...changes,
  };
}

function container(changes: Partial<Container> = {}): Container {
  const config = containerConfig();
  const user = { uid: 1000, gid: 5, groups: [5, 1000] };
  return {
    id: "c".repeat(64),
    podId: "p".repeat(64),
    config,
    imageId: IMAGE_ID,
    imageRef: "busybox:1",
    createdAt: 1_700_000_000_123_456,
    preparedAt: 1_700_000_000_123_457,
    startedAt: null,
    finishedAt: null,
    exitCode: null,
    signal: null,
    oomKilled: false,
    reason: "",
    message: "",
    removingAt: null,
    process: null,
    user,
    cgroupPath: "/sys/fs/cgroup/x/c",
    logPath: "/var/log/pods/c/0.log",
    stopSignal: 15,
    snapshot: 3,
    runtime: null,
    execTemplate: { env: [], workingDir: "/", user, privileged: false, security: config.security },
    ...changes,
  };
}

describe("a pod's status", () => {
  it("has exact nanoseconds, all addresses and the namespaces", () => {
    const sent = PodSandboxStatus.encode(podSandboxStatusToProto(pod())).finish();
    expect(PodSandboxStatus.decode(sent)).toMatchObject({
      state: 0,
      createdAt: 1_700_000_000_123_456_000n,
      network: { ip: "10.88.0.2", additionalIps: [{ ip: "fd00::2" }] },
      linux: { namespaces: { options: { network: 0, pid: 0, ipc: 0 } } },
      annotations: { a: "ü" },
    });
  });

  it("is NOTREADY once stopped, and has no address in the host's network", () => {
    const status = podSandboxStatusToProto(pod({ stoppedAt: 5, network: { ips: [] } }));
    expect(status).toMatchObject({ state: 1, network: { ip: "", additionalIps: [] } });
  });
});

describe("a container's status", () => {
  it("tells times, references, user and signal", () => {
    const row = container({ startedAt: 2, finishedAt: 3, exitCode: 137, reason: "OOMKilled", stopSignal: 3 });
    const sent = ContainerStatus.encode(containerStatusToProto(row, () => image)).finish();
    expect(ContainerStatus.decode(sent)).toMatchObject({
      state: 2,
      createdAt: 1_700_000_000_123_456_000n,
      startedAt: 2000n,
      finishedAt: 3000n,
      exitCode: 137,
      reason: "OOMKilled",
      image: { image: "busybox:1" },
      imageRef: "docker.io/library/busybox@sha256:m",
      imageId: IMAGE_ID,
      logPath: "/var/log/pods/c/0.log",
      resources: undefined,
      user: { linux: { uid: 1000n, gid: 5n, supplementalGroups: [5n, 1000n] } },
      stopSignal: 18,
    });
  });

  it("says CREATED with zero times before the start", () => {
    const status = containerStatusToProto(container(), () => image);
    expect(status).toMatchObject({ state: 0, startedAt: 0n, finishedAt: 0n, exitCode: 0 });
  });

  it("names an image that was asked for by its id, and one that is gone", () => {
    const byId = container({ imageRef: IMAGE_ID });
    const named = { tag: "docker.io/library/busybox:1", digest: null };
    const gone = { tag: null, digest: null };
    expect(containerToProto({ ...byId, imageNames: named }).image?.image).toBe(named.tag);
    expect(containerToProto({ ...byId, imageNames: gone })).toMatchObject({
      image: { image: IMAGE_ID },
      imageRef: IMAGE_ID,
    });
    const config = containerConfig({ image: { ...byId.config.image, userSpecifiedImage: "mine" } });
    expect(containerToProto({ ...byId, config, imageNames: named }).image?.image).toBe("mine");
  });

  it("asks for each image once, also for one that is gone", () => {
    const asked: string[] = [];
    const lookup = rememberImages((id) => {
      asked.push(id);
      return id === IMAGE_ID ? image : null;
    });
    for (const imageId of [IMAGE_ID, IMAGE_ID, "sha256:b", "sha256:b"]) {
      containerStatusToProto(container({ imageId }), lookup);
    }
    expect(asked).toEqual([IMAGE_ID, "sha256:b"]);
  });
});

describe("an image", () => {
  it.each([
    ["", undefined, ""],
    ["0", 0n, ""],
    ["1003:1004", 1003n, ""],
    ["www-data:1004", undefined, "www-data"],
    ["99999999999", undefined, "99999999999"],
    ["1e3", undefined, "1e3"],
  ])("with user %j", (user, uid, username) => {
    const shown = imageToProto({ ...image, config: { ...image.config, user } });
    expect([shown.uid?.value, shown.username]).toEqual([uid, username]);
    expect(shown).toMatchObject({ id: IMAGE_ID, size: 4096n, repoTags: image.repoTags });
  });
});

describe("the way in and out", () => {
  it("keeps mounts as requested", () => {
    const mounts = [
      Mount.fromPartial({ containerPath: "/a", hostPath: "/b", readonly: true, propagation: 1 }),
      Mount.fromPartial({
        containerPath: "/c",
        image: { image: "data", imageRef: "sha256:d" },
        imageSubPath: "x",
        mountOptions: ["noexec"],
        recursiveReadOnly: true,
        uidMappings: [{ hostId: 1, containerId: 0, length: 2 }],
      }),
    ];
    const config = ContainerConfig.fromPartial({ metadata: { name: "c" }, image: { image: "i" }, mounts });
    expect(containerConfigFromProto(config, "config").mounts.map(mountToProto)).toEqual(mounts);
  });

  it("keeps resources and namespaces", () => {
    const resources = LinuxContainerResources.fromPartial({
      cpuPeriod: 100000n,
      cpuQuota: -1n,
      oomScoreAdj: -998n,
      memorySwapLimitInBytes: -1n,
      hugepageLimits: [{ pageSize: "2MB", limit: 4194304n }],
      unified: { "memory.oom.group": "1" },
    });
    const namespaceOptions = NamespaceOption.fromPartial({ network: 2, pid: 1, usernsOptions: { mode: 2 } });
    const metadata = { name: "n", namespace: "s", uid: "u" };
    const linux = { resources, securityContext: { namespaceOptions } };
    const config = podConfigFromProto(PodSandboxConfig.fromPartial({ metadata, linux }), "config");
    expect(config.resources && resourcesToProto(config.resources)).toEqual(resources);
    expect(namespacesToProto(config.security.namespaces)).toEqual(namespaceOptions);
  });
});
