// Pods with a user namespace: which mappings are taken, and what their plans do differently.

import { describe, expect, test } from "vitest";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { buildExecPlan } from "../../../src/spec/build-exec-plan.ts";
import { makeExecTemplate } from "../../../src/spec/exec-template.ts";
import type { ContainerPlanInput } from "../../../src/spec/inputs.ts";
import { hostUser, nobodyOf, userMappingOf } from "../../../src/spec/user-namespace.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_SHARED } from "../../../src/types/linux.ts";
import type { IdMapping, NamespaceOptions, UserNamespaceOptions } from "../../../src/types/pod.ts";
import {
  containerConfig,
  HOST,
  MAPPED,
  MAPPING,
  NAMESPACES,
  opsOf,
  planInput,
  podConfig,
  stepsOf,
  volume,
} from "./fixture.ts";

const RANGE: IdMapping = { containerId: 0, hostId: 100_000, length: 65_536 };

function options(userns: Partial<UserNamespaceOptions>): NamespaceOptions {
  return { ...NAMESPACES, userns: { mode: "POD", uids: [RANGE], gids: [RANGE], ...userns } };
}

function mappedInput(more: Partial<ContainerPlanInput> = {}): ContainerPlanInput {
  return planInput({ pod: podConfig({ namespaces: MAPPED }), ...more });
}

function mappedSteps(more: Partial<ContainerPlanInput> = {}) {
  return buildContainerPlan(mappedInput(more)).steps;
}

const refusal = expect.objectContaining({ code: "INVALID_ARGUMENT" });

describe("mappings", () => {
  test("none is asked for", () => {
    expect(userMappingOf(NAMESPACES)).toBeNull();
    expect(userMappingOf(options({ mode: "NODE" }))).toBeNull();
  });

  test("one range each", () => {
    expect(userMappingOf(options({}))).toEqual({ uids: RANGE, gids: RANGE });
  });

  test.each([
    ["more than one", options({ uids: [RANGE, { ...RANGE, containerId: 65_536 }] })],
    ["more than one of groups", options({ gids: [RANGE, RANGE] })],
    ["none", options({ uids: [], gids: [] })],
    ["groups without users", options({ uids: [] })],
    ["id 0 left out", options({ uids: [{ ...RANGE, containerId: 1 }] })],
    ["nothing at all", options({ gids: [{ ...RANGE, length: 0 }] })],
    ["more ids than there are", options({ uids: [{ ...RANGE, hostId: 0xffff_0000 }] })],
    ["mode CONTAINER", options({ mode: "CONTAINER" })],
    ["mode TARGET", options({ mode: "TARGET" })],
  ])("%s is refused", (_, namespaces) => {
    expect(() => userMappingOf(namespaces)).toThrow(refusal);
  });

  test("ids outside of it are nobody's", () => {
    const mapping = { uids: RANGE, gids: RANGE };
    expect(hostUser(mapping, { uid: 1000, gid: 65_535, groups: [0] })).toEqual({
      uid: 101_000,
      gid: 165_535,
    });
    const user = { uid: 0, gid: 0, groups: [] };
    for (const wrong of [{ uid: 65_536 }, { gid: 65_536 }, { groups: [70_000] }]) {
      expect(() => hostUser(mapping, { ...user, ...wrong })).toThrow("user namespace");
    }
    expect(nobodyOf(mapping)).toBe(65_534);
    expect(nobodyOf({ uids: RANGE, gids: { ...RANGE, length: 10 } })).toBe(9);
  });
});

describe("containers", () => {
  test("mounts are made between the two marks, before them is what is inherited", () => {
    const ops = opsOf(mappedSteps({ container: containerConfig({ tty: true, mounts: [volume("/data")] }) }));
    expect(ops.slice(0, ops.indexOf("enter-user-namespace"))).toEqual([
      "own-stdio",
      "oom-score",
      ...Array<string>(16).fill("rlimit"),
    ]);
    const mounter = ops.slice(ops.indexOf("enter-user-namespace") + 1, ops.indexOf("take-mounts"));
    expect(mounter[0]).toBe("mount-propagation");
    expect(mounter.at(-1)).toBe("pivot-root");
    // The overlay is made with the mapped ids, of layers that are seen through the mapping.
    const order = ["open-tree", "open-shm", "map-snapshots", "file-ids", "overlay-root", "mount"] as const;
    expect(order.map((op) => mounter.indexOf(op))).toEqual(
      order.map((op) => mounter.indexOf(op)).toSorted((a, b) => a - b),
    );
    const inside = ops.slice(ops.indexOf("take-mounts") + 1);
    expect(inside[0]).toBe("console");
    expect(inside).not.toContain("rlimit");
  });

  test("files and terminals belong to root of the container", () => {
    const steps = mappedSteps();
    expect(stepsOf(steps, "file-ids")).toEqual([{ op: "file-ids", uid: 100_000, gid: 200_000 }]);
    expect(stepsOf(steps, "mount").find((step) => step.fstype === "devpts")?.options).toContain("gid=200005");
    for (const { uid, gid } of stepsOf(steps, "make-dir")) expect([uid, gid]).toEqual([100_000, 200_000]);
  });

  test("a short mapping has no tty group", () => {
    const short = { ...MAPPED, userns: { ...MAPPING, gids: [{ ...RANGE, length: 1 }] } };
    const steps = mappedSteps({ pod: podConfig({ namespaces: short }) });
    const options = stepsOf(steps, "mount").find((step) => step.fstype === "devpts")?.options;
    expect(options?.some((option) => option.startsWith("gid="))).toBe(false);
  });

  test("devices of the host keep their owner, also when that is root", () => {
    const device = {
      path: "/dev/sda",
      type: "b",
      major: 8,
      minor: 0,
      mode: 0o660,
      uid: 0,
      gid: 0,
      access: "rwm",
    } as const;
    const steps = stepsOf(mappedSteps({ devices: [device] }), "make-node");
    expect(steps.find((step) => step.target === "/dev/sda")?.setOwner).toBe(true);
    expect(steps.find((step) => step.target === "/dev/null")?.setOwner).toBe(false);
    const disguised = stepsOf(mappedSteps({ devices: [{ ...device, path: "/dev/null" }] }), "make-node");
    expect(disguised.find((step) => step.target === "/dev/null")?.setOwner).toBe(true);
    expect(() => mappedSteps({ devices: [{ ...device, path: "/sda" }] })).toThrow(refusal);
  });

  test("devices that an image brings cannot be opened, in a privileged container neither", () => {
    const pod = podConfig({ namespaces: MAPPED, privileged: true });
    const steps = mappedSteps({ pod, container: containerConfig({}, { privileged: true }) });
    expect(stepsOf(steps, "overlay-root")[0]?.allowDevices).toBe(false);
    expect(stepsOf(steps, "delegate-cgroup")).toEqual([
      { op: "delegate-cgroup", target: "/sys/fs/cgroup", uid: 100_000, gid: 200_000 },
    ]);
    expect(opsOf(mappedSteps())).not.toContain("delegate-cgroup");
  });

  test.each([
    ["of another mapping", { ...MAPPED, userns: { ...MAPPING, gids: [RANGE] } }],
    ["of the host", { ...MAPPED, userns: { ...MAPPING, mode: "NODE" } }],
  ] as const)("a user namespace %s than the pod's is refused", (_, namespaces) => {
    expect(() => mappedSteps({ container: containerConfig({}, { namespaces }) })).toThrow(refusal);
  });

  test("a container of a pod without one cannot have one", () => {
    const container = containerConfig({}, { namespaces: MAPPED });
    expect(() => buildContainerPlan(planInput({ container }))).toThrow(refusal);
  });

  test("users outside of the mapping are refused", () => {
    const user = { uid: 70_000, gid: 0, groups: [0], home: "/" };
    expect(() => mappedSteps({ user })).toThrow("70000:0");
  });
});

describe("volumes", () => {
  const asPod = { uidMappings: MAPPING.uids, gidMappings: MAPPING.gids };

  test("the pod's mapping, another one, none", () => {
    const mounts = [
      volume("/a", asPod),
      volume("/b", { uidMappings: [RANGE], gidMappings: [RANGE] }),
      volume("/c"),
    ];
    const steps = mappedSteps({ container: containerConfig({ mounts }) });
    const mapOf = (source: string) =>
      stepsOf(steps, "open-tree").find((step) => step.source === source)?.idMap;
    expect(mapOf("/host/a")).toBe("pod");
    expect(mapOf("/host/b")).toEqual({ uidMap: "0 100000 65536", gidMap: "0 100000 65536" });
    expect(mapOf("/host/c")).toBe("none");
    const attributes = (target: string) =>
      stepsOf(steps, "attach-tree").find((step) => step.target === target)?.setAttributes;
    expect(attributes("/a")).toBe(MOUNT_ATTR_NODEV);
    expect(attributes("/c")).toBe(0);
  });

  test("a pod without a user namespace can map a volume too", () => {
    const mounts = [volume("/b", asPod)];
    const { steps } = buildContainerPlan(planInput({ container: containerConfig({ mounts }) }));
    expect(stepsOf(steps, "open-tree").find((step) => step.source === "/host/b")?.idMap).toEqual({
      uidMap: "0 100000 65536",
      gidMap: "0 200000 65536",
    });
  });

  test("bidirectional propagation is refused", () => {
    const mounts = [volume("/b", { propagation: "BIDIRECTIONAL" })];
    expect(() => mappedSteps({ container: containerConfig({ mounts }) })).toThrow(refusal);
  });
});

describe("images as volumes", () => {
  const image = {
    image: "data:1",
    annotations: {},
    userSpecifiedImage: "",
    runtimeHandler: "",
    imageRef: "sha256:d",
  };
  const asImage = { image, hostPath: "", readonly: true, imageSubPath: "etc" };
  const volumeLowers = new Map([["sha256:d", ["l/9", "l/8"]]]);

  test("a read-only overlay of the layers, with an empty one below", () => {
    const container = containerConfig({ mounts: [volume("/img", asImage)] });
    const { steps } = buildContainerPlan(planInput({ container, volumeLowers }));
    const [tree] = stepsOf(steps, "image-tree");
    expect(tree).toMatchObject({ lowers: ["l/9", "l/8", "empty"], subPath: "etc" });
    const attached = stepsOf(steps, "attach-tree").find((step) => step.target === "/img");
    expect(attached?.slot).toBe(tree?.slot);
    expect(attached?.setAttributes).toBe(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
    // Where it stands for a moment is the root's place.
    const ops = opsOf(steps);
    expect(ops.indexOf("image-tree")).toBeLessThan(ops.indexOf("overlay-root"));
    expect(ops.indexOf("mount-propagation")).toBeLessThan(ops.indexOf("image-tree"));
  });

  test.each([
    ["writable", { readonly: false }],
    ["with a host path", { hostPath: "/srv" }],
    ["shared", { propagation: "HOST_TO_CONTAINER" }],
    ["with a path that goes up", { imageSubPath: "a/../../b" }],
    ["with an absolute path", { imageSubPath: "/etc" }],
    ["of an image that is not there", { image: { ...image, imageRef: "sha256:e" } }],
  ] as const)("%s is refused", (_, wrong) => {
    const container = containerConfig({ mounts: [volume("/img", { ...asImage, ...wrong })] });
    const plan = () => buildContainerPlan(planInput({ container, volumeLowers }));
    expect(plan).toThrow(refusal);
    expect(plan).toThrow("ImageVolumeMountFailed");
  });

  test("a sub path without an image is refused", () => {
    const container = containerConfig({ mounts: [volume("/x", { imageSubPath: "etc" })] });
    expect(() => buildContainerPlan(planInput({ container }))).toThrow(refusal);
  });
});

test("an exec gives its pipes away before it enters, and becomes root inside", () => {
  const input = mappedInput({ user: { uid: 1000, gid: 1000, groups: [1000], home: "/" } });
  const { steps } = buildExecPlan({
    template: makeExecTemplate(input),
    argv: ["ls"],
    host: HOST,
    seccomp: null,
    console: { rows: 1, columns: 1 },
  });
  expect(opsOf(steps).slice(0, 21)).toEqual([
    "oom-score",
    "own-stdio",
    ...Array<string>(16).fill("rlimit"),
    "join",
    "become-root",
    "console",
  ]);
  expect(stepsOf(steps, "own-stdio")).toEqual([{ op: "own-stdio", uid: 101_000, gid: 201_000 }]);
  expect(opsOf(steps).filter((op) => op === "rlimit")).toHaveLength(16);
});

describe("a bidirectional volume with something inside", () => {
  const shared = volume("/data", { propagation: "BIDIRECTIONAL" });
  const stepsWith = (...mounts: ReturnType<typeof volume>[]) =>
    buildContainerPlan(planInput({ container: containerConfig({ mounts }) })).steps;

  test("is shared when all is mounted", () => {
    const steps = stepsWith(shared, volume("/data/inner"));
    const [share] = stepsOf(steps, "share-group");
    expect(share?.target).toBe("/data");
    const opened = stepsOf(steps, "open-tree").find((step) => step.slot === share?.slot);
    expect(opened).toMatchObject({ source: "/host/data", recursive: false, requiredPropagation: MS_SHARED });
    const attached = stepsOf(steps, "attach-tree").find((step) => step.target === "/data");
    expect(attached?.propagation).toBe(MS_PRIVATE);
    const ops = opsOf(steps);
    const after = ops.slice(ops.indexOf("share-group") + 1);
    for (const op of ["attach-tree", "mount", "mask", "readonly-path"] as const)
      expect(after).not.toContain(op);
  });

  test("is shared at once where nothing is inside", () => {
    const steps = stepsWith(shared, volume("/database"));
    expect(opsOf(steps)).not.toContain("share-group");
    const attached = stepsOf(steps, "attach-tree").find((step) => step.target === "/data");
    expect(attached?.propagation).toBe(MS_SHARED);
  });
});
