// What is mounted for a foreign runtime, and what config.json then asks it to mount.

import { describe, expect, test } from "vitest";
import type { ContainerPlanInput } from "../../../src/spec/inputs.ts";
import { toOciSpec } from "../../../src/spec/oci.ts";
import { buildRuntimeCreatePlan } from "../../../src/spec/runtime-plan.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY } from "../../../src/types/linux.ts";
import type { NamespaceOptions } from "../../../src/types/pod.ts";
import { containerConfig, MAPPED, opsOf, planInput, podConfig, stepsOf, volume } from "./fixture.ts";

const COMMAND = { argv: ["/usr/bin/crun"], directory: "/b", daemonPid: 7, cgroupMount: "/sys/fs/cgroup" };
const CGROUP = "/berth/p/c-1";
const RO = { readonly: true, recursiveReadOnly: true } as const;
const AS_POD = { uidMappings: MAPPED.userns?.uids ?? [], gidMappings: MAPPED.userns?.gids ?? [] };
const device = { type: "c", major: 10, minor: 229, mode: 0o660, uid: 0, gid: 44, access: "rw" } as const;

const stepsFor = (input: ContainerPlanInput) => buildRuntimeCreatePlan(input, COMMAND, CGROUP).steps;
const specFor = (container: ContainerPlanInput) =>
  toOciSpec({
    container,
    rootPath: "/run/berth/rootfs",
    namespaces: { user: "/run/berth/mounts/user", network: "/run/netns/x", pid: "/proc/8/ns/pid" },
    cgroupsPath: CGROUP,
    seccomp: null,
    hooks: {},
  });

function mapped(namespaces: Partial<NamespaceOptions> = {}, privileged = false): ContainerPlanInput {
  const mounts = [volume("/ro", { ...RO, ...AS_POD }), volume("/rw", { mountOptions: ["noexec"] })];
  const options = { ...MAPPED, ...namespaces };
  return planInput({
    pod: podConfig({ namespaces: options, privileged }),
    container: containerConfig({ mounts }, { privileged, namespaces: options }),
    devices: [
      { ...device, path: "/dev/fuse" },
      { ...device, path: "/dev/null", major: 1, minor: 3 },
    ],
  });
}

test("attributes are those of the mounts that the runtime is given", () => {
  const input = planInput({ container: containerConfig({ mounts: [volume("/ro", RO)] }) });
  const attached = stepsOf(stepsFor(input), "attach-tree");
  // Three files of /etc after it.
  expect(attached[1]).toMatchObject({ target: "/0", recursiveAttributes: true });
  expect((attached[1]?.setAttributes ?? 0) & MOUNT_ATTR_RDONLY).not.toBe(0);
  expect(specFor(input).mounts.find(({ destination }) => destination === "/ro")).toEqual({
    destination: "/ro",
    type: "bind",
    source: "/run/berth/mounts/0",
    options: ["rbind", "rprivate", "ro"],
  });
  expect(opsOf(stepsFor(input))).not.toContain("lock-mounts");
});

describe("in a user namespace", () => {
  test("ids are mapped before anything is mounted with them, and all is locked before the runtime", () => {
    const ops = opsOf(stepsFor(mapped()));
    const order = [
      "own-stdio",
      "map-snapshots",
      "host-directory",
      "file-ids",
      "open-user-namespace",
      "make-node",
      "overlay-root",
      "make-dir",
      "lock-mounts",
      "exec",
    ] as const;
    expect(order.map((op) => ops.indexOf(op))).toEqual(
      order.map((op) => ops.indexOf(op)).toSorted((a, b) => a - b),
    );
    expect(ops).not.toContain("delegate-cgroup");
  });

  test("the namespace is joined by path; nothing asks to change attributes that are locked", () => {
    const { linux, mounts } = specFor(mapped());
    expect(linux.namespaces[0]).toEqual({ type: "user", path: "/run/berth/mounts/user" });
    expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 100_000, size: 65_536 }]);
    expect(linux.gidMappings).toEqual([{ containerID: 0, hostID: 200_000, size: 65_536 }]);
    const bound = mounts.filter(({ type }) => type === "bind");
    for (const { options } of bound) {
      expect(options.filter((option) => !/^(r?bind|rprivate|rslave)$/.test(option))).toEqual([]);
    }
    const attached = stepsOf(stepsFor(mapped()), "attach-tree");
    const ro = bound.find(({ destination }) => destination === "/ro");
    const step = attached.find(({ target }) => `/run/berth/mounts${target}` === ro?.source);
    expect(step?.setAttributes).toBe(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
  });

  test("devices are nodes that berth makes, but for the standard ones", () => {
    const { linux, mounts } = specFor(mapped());
    expect(linux.devices).toEqual([]);
    expect(
      mounts.filter(({ destination }) => destination.startsWith("/dev/")).map(({ source }) => source),
    ).toEqual(["devpts", "/run/berth/mounts/shm", "mqueue", "/run/berth/mounts/device-0"]);
    expect(stepsOf(stepsFor(mapped()), "make-node")).toEqual([
      expect.objectContaining({ target: "/device-0", major: 10, minor: 229, gid: 44, setOwner: true }),
    ]);
  });

  test.each([
    ["pid", "/proc", "proc"],
    ["network", "/sys", "sysfs"],
    ["ipc", "/dev/mqueue", "mqueue"],
  ] as const)("with the host's %s namespace %s is mounted for it", (kind, target, fstype) => {
    const own = mapped();
    const host = mapped({ [kind]: "NODE" });
    const find = (input: ContainerPlanInput) =>
      specFor(input).mounts.find(({ destination }) => destination === target);
    expect(find(own)?.type).toBe(fstype);
    expect(find(host)).toMatchObject({ type: "bind", source: `/run/berth/mounts/of-host${target}` });
    expect(stepsOf(stepsFor(host), "mount")).toContainEqual(
      expect.objectContaining({ fstype, target: `/of-host${target}`, createTarget: true }),
    );
  });

  test("a privileged container has its cgroup", () => {
    expect(stepsOf(stepsFor(mapped({}, true)), "delegate-cgroup")).toEqual([
      { op: "delegate-cgroup", target: `/sys/fs/cgroup${CGROUP}`, uid: 100_000, gid: 200_000 },
    ]);
  });
});
