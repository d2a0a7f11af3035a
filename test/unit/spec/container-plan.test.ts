import { describe, expect, test } from "vitest";
import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { buildExecPlan } from "../../../src/spec/build-exec-plan.ts";
import { allCapabilities } from "../../../src/spec/capabilities.ts";
import { deviceRules } from "../../../src/spec/device-rules.ts";
import { makeExecTemplate } from "../../../src/spec/exec-template.ts";
import type { ContainerPlanInput, ExecPlanInput } from "../../../src/spec/inputs.ts";
import type { ContainerMount, ContainerSecurity } from "../../../src/types/container.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWNS,
  CLONE_NEWPID,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
} from "../../../src/types/linux.ts";
import { type NamespaceOptions, NO_RESOURCES } from "../../../src/types/pod.ts";
import {
  containerConfig,
  HOST,
  IMAGE,
  NAMESPACES,
  opsOf,
  planInput,
  podConfig,
  stepsOf,
  volume,
} from "./fixture.ts";

function stepsFor(more: Partial<ContainerPlanInput> = {}) {
  return buildContainerPlan(planInput(more)).steps;
}

function withSecurity(security: Partial<ContainerSecurity>) {
  const pod = podConfig({ privileged: security.privileged === true });
  return stepsFor({ pod, container: containerConfig({}, security) });
}

function withMounts(...mounts: ContainerMount[]) {
  return stepsFor({ container: containerConfig({ mounts }) });
}

const FILTER = new Uint8Array(8);

test("the order of a plain container", async () => {
  const container = containerConfig({ tty: true, mounts: [volume("/data")] }, { readonlyRootfs: true });
  const { steps } = buildContainerPlan(planInput({ container, seccomp: FILTER }));
  const plain = steps.map((step) => ("target" in step ? `${step.op} ${step.target}` : step.op));
  await expect(`${plain.join("\n")}\n`).toMatchFileSnapshot("golden/container-order.txt");
});

describe("namespaces", () => {
  function placement(pod: Partial<NamespaceOptions>, container?: Partial<NamespaceOptions>) {
    const security = container === undefined ? {} : { namespaces: { ...NAMESPACES, ...container } };
    const plan = buildContainerPlan(
      planInput({
        pod: podConfig({ namespaces: { ...NAMESPACES, ...pod } }),
        container: containerConfig({}, security),
      }),
    );
    return [plan.cloneFlags & CLONE_NEWPID ? "new" : "shared", plan.pidNamespace];
  }

  test.each([
    ["as the pod: CONTAINER", { pid: "CONTAINER" }, undefined, ["new", "own"]],
    ["as the pod: POD", { pid: "POD" }, undefined, ["shared", "pod"]],
    ["as the pod: NODE", { pid: "NODE" }, undefined, ["shared", "own"]],
    ["POD in a NODE pod", { pid: "NODE" }, { pid: "POD" }, ["shared", "own"]],
    ["NODE in a POD pod", { pid: "POD" }, { pid: "NODE" }, ["shared", "own"]],
    ["TARGET", { pid: "POD" }, { pid: "TARGET", targetId: "abc" }, ["shared", "container"]],
  ] as const)("%s", (_, pod, container, expected) => {
    expect(placement(pod, container)).toEqual(expected);
  });

  test("mounts and cgroups are always its own", () => {
    const flags = buildContainerPlan(planInput()).cloneFlags;
    expect(flags).toBe(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWPID);
  });

  test.each([
    ["POD in a CONTAINER pod", { pid: "CONTAINER" }, { pid: "POD" }],
    ["TARGET without id", {}, { pid: "TARGET" }],
    ["host network in a pod with its own", {}, { network: "NODE" }],
    ["host ipc in a pod with its own", {}, { ipc: "NODE" }],
  ] as const)("%s is refused", (_, pod, container) => {
    expect(() => placement(pod, container)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test("with the host's IPC namespace its /dev/shm comes along", () => {
    const pod = podConfig({ namespaces: { ...NAMESPACES, ipc: "NODE" } });
    const steps = stepsFor({ pod });
    expect(opsOf(steps)).not.toContain("open-shm");
    expect(stepsOf(steps, "open-tree")).toContainEqual({
      op: "open-tree",
      slot: 0,
      source: "/dev/shm",
      recursive: false,
      idMap: "none",
      requiredPropagation: 0,
    });
  });
});

describe("volumes", () => {
  test("parents come first, and pod files give way", () => {
    const steps = withMounts(volume("/a/b/c"), volume("/a"), volume("/etc/hosts"), volume("/a/b/"));
    const targets = stepsOf(steps, "attach-tree").map((step) => step.target);
    expect(targets).toEqual([
      "/dev/shm",
      "/a",
      "/etc/resolv.conf",
      "/etc/hostname",
      "/etc/hosts",
      "/a/b",
      "/a/b/c",
    ]);
    const hosts = stepsOf(steps, "attach-tree").find((step) => step.target === "/etc/hosts")!;
    const source = stepsOf(steps, "open-tree").find((step) => step.slot === hosts.slot)!.source;
    expect(source).toBe("/host/etc/hosts");
  });

  test("slots are used once each", () => {
    const steps = withMounts(volume("/a"), volume("/b", { propagation: "BIDIRECTIONAL" }));
    const opened = stepsOf(steps, "open-tree").map((step) => step.slot);
    const attached = stepsOf(steps, "attach-tree").map((step) => step.slot);
    expect(new Set(opened).size).toBe(opened.length);
    expect([...opened, 0].sort()).toEqual(attached.sort());
  });

  test("only shared ones are opened before propagation is cut", () => {
    const steps = withMounts(
      volume("/p"),
      volume("/s", { propagation: "BIDIRECTIONAL" }),
      volume("/h", { propagation: "HOST_TO_CONTAINER" }),
    );
    const cut = opsOf(steps).indexOf("mount-propagation");
    expect(stepsOf(steps.slice(0, cut), "open-tree").map((step) => step.source)).toEqual(["/host/s"]);
    const propagation = Object.fromEntries(
      stepsOf(steps, "attach-tree").map((step) => [step.target, step.propagation]),
    );
    expect(propagation).toMatchObject({ "/p": MS_PRIVATE, "/s": MS_SHARED, "/h": MS_SLAVE });
  });

  test("attributes", () => {
    const steps = withMounts(
      volume("/ro", { readonly: true }),
      volume("/rro", { readonly: true, recursiveReadOnly: true, mountOptions: ["noexec"] }),
    );
    const attached = stepsOf(steps, "attach-tree");
    expect(attached.find((step) => step.target === "/ro")).toMatchObject({
      setAttributes: MOUNT_ATTR_RDONLY,
      recursiveAttributes: false,
    });
    expect(attached.find((step) => step.target === "/rro")).toMatchObject({
      setAttributes: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC,
      recursiveAttributes: true,
    });
  });

  test.each([
    ["two at one place", [volume("/a"), volume("/a/")], "INVALID_ARGUMENT"],
    ["two at one place by ..", [volume("/a"), volume("/b/../a")], "INVALID_ARGUMENT"],
    ["the root", [volume("/x/..")], "INVALID_ARGUMENT"],
    ["relative", [volume("x")], "INVALID_ARGUMENT"],
    ["relative host path", [volume("/x", { hostPath: "x" })], "INVALID_ARGUMENT"],
    ["rro that is not ro", [volume("/x", { recursiveReadOnly: true })], "INVALID_ARGUMENT"],
    [
      "rro that propagates",
      [volume("/x", { recursiveReadOnly: true, readonly: true, propagation: "HOST_TO_CONTAINER" })],
      "INVALID_ARGUMENT",
    ],
    ["unknown option", [volume("/x", { mountOptions: ["suid"] })], "INVALID_ARGUMENT"],
    [
      "id mapping of users alone",
      [volume("/x", { uidMappings: [{ hostId: 1, containerId: 0, length: 1 }] })],
      "INVALID_ARGUMENT",
    ],
    ["too many", Array.from({ length: 300 }, (_, n) => volume(`/v${n}`)), "INVALID_ARGUMENT"],
  ])("%s is refused", (_, mounts, code) => {
    expect(() => withMounts(...mounts)).toThrow(expect.objectContaining({ code }));
  });
});

describe("security", () => {
  test("the filter comes before the user, or last with no_new_privs", () => {
    const order = (noNewPrivs: boolean) =>
      opsOf(stepsFor({ seccomp: FILTER, container: containerConfig({}, { noNewPrivs }) })).slice(-8);
    expect(order(false)).toEqual([
      "chdir",
      "cap-bounding",
      "seccomp",
      "set-groups",
      "set-user",
      "cap-set",
      "ready",
      "exec",
    ]);
    expect(order(true)).toEqual([
      "cap-bounding",
      "set-groups",
      "set-user",
      "cap-set",
      "no-new-privs",
      "seccomp",
      "ready",
      "exec",
    ]);
  });

  test("paths: the defaults, the request's, none when privileged", () => {
    const plain = withSecurity({});
    expect(stepsOf(plain, "mask").map((step) => step.target)).toContain("/proc/kcore");
    expect(stepsOf(plain, "readonly-path").map((step) => step.target)).toContain("/proc/sys");
    const asked = withSecurity({ maskedPaths: ["/x", "/x/"], readonlyPaths: ["/y"] });
    expect(stepsOf(asked, "mask").map((step) => step.target)).toEqual(["/x"]);
    expect(stepsOf(asked, "readonly-path").map((step) => step.target)).toEqual(["/y"]);
    const privileged = withSecurity({ privileged: true, maskedPaths: ["/x"] });
    expect(opsOf(privileged)).not.toContain("mask");
    expect(opsOf(privileged)).not.toContain("readonly-path");
  });

  test("privileged: every capability, writable /sys, the host's devices", () => {
    const node = { type: "b", major: 8, minor: 0, mode: 0o660, uid: 0, gid: 6, access: "rwm" } as const;
    const steps = stepsFor({
      pod: podConfig({ privileged: true }),
      container: containerConfig({}, { privileged: true }),
      hostDevices: [
        { ...node, path: "/dev/sda" },
        { ...node, path: "/dev/mapper/x" },
        { ...node, path: "/dev/pts/3" },
      ],
    });
    expect(stepsOf(steps, "cap-bounding")[0]!.mask).toBe(allCapabilities(HOST));
    const sys = stepsOf(steps, "mount").filter((step) => step.target.startsWith("/sys"));
    expect(sys.map((step) => step.attributes & MOUNT_ATTR_RDONLY)).toEqual([0, 0]);
    const nodes = stepsOf(steps, "make-node").map((step) => step.target);
    expect(nodes.slice(-2)).toEqual(["/dev/sda", "/dev/mapper/x"]);
    expect(stepsOf(steps, "make-dir").map((step) => step.target)).toContain("/dev/mapper");
    expect(stepsOf(steps, "make-node").at(-1)).toMatchObject({ mode: 0o060660, major: 8, gid: 6 });
  });

  test("a privileged container needs a privileged pod", () => {
    const container = containerConfig({}, { privileged: true });
    expect(() => stepsFor({ container })).toThrow('container "nginx": privileged, but its pod is not');
  });

  test("devices are not for everybody", () => {
    const number = { type: "b", major: 8, minor: 0 } as const;
    const device = { ...number, path: "/dev/sda", mode: 0o660, uid: 0, gid: 6, access: "r" } as const;
    expect(stepsOf(stepsFor({ hostDevices: [device] }), "make-node")).toHaveLength(6);
    expect(stepsOf(stepsFor({ devices: [device] }), "make-node")).toHaveLength(7);
    expect(() => stepsFor({ devices: [{ ...device, path: "/dev/pts/0" }] })).toThrow("is taken");
    const rules = deviceRules({ container: containerConfig(), devices: [device] }) ?? [];
    expect(rules.at(-1)).toEqual({ ...number, access: "r" });
    // Making nodes is free, opening them is not.
    expect(rules.filter((rule) => rule.major === undefined).map((rule) => rule.access)).toEqual(["m", "m"]);
    expect(deviceRules({ container: containerConfig({}, { privileged: true }), devices: [] })).toBeNull();
  });
});

describe("process", () => {
  test("limits do not depend on the daemon's", () => {
    const limits = (nofileHard: number) =>
      stepsOf(stepsFor({ host: { ...HOST, nofileHard } }), "rlimit").find((step) => step.resource === 7);
    expect(limits(1_073_741_816)).toMatchObject({ soft: 1024, hard: 1_048_576 });
    expect(limits(512)).toMatchObject({ soft: 512, hard: 512 });
    // None is left to be inherited.
    const resources = stepsOf(stepsFor(), "rlimit").map((step) => step.resource);
    expect(resources.sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, index) => index));
  });

  test("OOM score", () => {
    const resources = { ...NO_RESOURCES, oomScoreAdj: -997 };
    const host = { ...HOST, capSysResource: false };
    const steps = stepsFor({ container: containerConfig({ resources }), host });
    expect(stepsOf(steps, "oom-score")).toEqual([{ op: "oom-score", value: -997, clamp: true }]);
    const wild = containerConfig({ resources: { ...NO_RESOURCES, oomScoreAdj: 1001 } });
    expect(() => stepsFor({ container: wild })).toThrow("oom_score_adj 1001");
  });

  test("directories of the image exist, volumes are left alone", () => {
    const image = { ...IMAGE, volumes: ["/data", "/cache"] };
    const container = containerConfig({ mounts: [volume("/data")] });
    const made = stepsOf(stepsFor({ image, container }), "make-dir").map((step) => step.target);
    expect(made).toEqual(["/cache", "/srv"]);
  });

  test("the command is searched in the container's PATH", () => {
    const container = containerConfig({ command: ["sh"], envs: [{ name: "PATH", value: "/x" }] });
    expect(stepsFor({ container }).at(-1)).toMatchObject({ op: "exec", argv: ["sh"], path: "/x" });
  });

  test("an image without layers is refused", () => {
    expect(() => stepsFor({ lowers: [] })).toThrow("no layers");
  });
});

describe("exec", () => {
  function exec(more: Partial<ExecPlanInput> = {}, input: Partial<ContainerPlanInput> = {}) {
    const template = makeExecTemplate(planInput(input));
    return buildExecPlan({ template, argv: ["ls"], host: HOST, seccomp: null, ...more });
  }

  test("the whole plan", () => {
    const plan = exec({ console: { rows: 24, columns: 80 }, seccomp: FILTER });
    expect([plan.cloneFlags, plan.pidNamespace]).toEqual([0, "container"]);
    expect(opsOf(plan.steps)).toEqual([
      "oom-score",
      "join",
      "console",
      "session-keyring",
      ...Array<string>(16).fill("rlimit"),
      "umask",
      "chdir",
      "cap-bounding",
      "seccomp",
      "set-groups",
      "set-user",
      "cap-set",
      "ready",
      "exec",
    ]);
    expect(plan.steps.at(-1)).toMatchObject({
      argv: ["ls"],
      env: ["PATH=/bin", "LANG=C", "HOSTNAME=web", "HOME=/root", "TERM=xterm"],
      path: "/bin",
    });
  });

  test("what is asked for goes over the container's", () => {
    const user = { uid: 5, gid: 6, groups: [6], home: "/home/five" };
    const { steps } = exec({ user, workingDir: "/tmp", env: ["LANG=de"], privileged: true });
    expect(stepsOf(steps, "set-user")).toEqual([{ op: "set-user", uid: 5, gid: 6 }]);
    expect(stepsOf(steps, "chdir")).toEqual([{ op: "chdir", directory: "/tmp" }]);
    expect(stepsOf(steps, "cap-bounding")[0]!.mask).toBe(allCapabilities(HOST));
    expect(stepsOf(steps, "exec")[0]!.env).toEqual([
      "PATH=/bin",
      "LANG=de",
      "HOSTNAME=web",
      "HOME=/home/five",
    ]);
  });

  test("no_new_privs and the OOM score are kept", () => {
    const container = containerConfig(
      { resources: { ...NO_RESOURCES, oomScoreAdj: 500 } },
      { noNewPrivs: true },
    );
    const { steps } = exec({}, { container });
    expect(opsOf(steps)).toContain("no-new-privs");
    expect(stepsOf(steps, "oom-score")[0]!.value).toBe(500);
  });

  test("nothing to run is refused", () => {
    expect(() => exec({ argv: [] })).toThrow("no command specified");
  });
});
