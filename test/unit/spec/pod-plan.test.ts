import { describe, expect, test } from "vitest";
import { buildPodPlan } from "../../../src/spec/build-pod-plan.ts";
import { sysctlPath } from "../../../src/spec/sysctls.ts";
import { CLONE_NEWIPC, CLONE_NEWUTS } from "../../../src/types/linux.ts";
import type { NamespaceOptions } from "../../../src/types/pod.ts";
import { MAPPING, NAMESPACES, opsOf, podConfig, stepsOf } from "./fixture.ts";

function plan(
  namespaces: Partial<NamespaceOptions> = {},
  sysctls: Record<string, string> = {},
  hostname = "web",
) {
  const config = podConfig({ namespaces: { ...NAMESPACES, ...namespaces } }, { sysctls, hostname });
  return buildPodPlan({ config, netnsPath: "/run/netns/berth-1" }).steps;
}

describe("namespaces", () => {
  test("a pod with everything of its own", () => {
    expect(plan({ pid: "POD" }, { "kernel.shm_rmid_forced": "1" })).toEqual([
      { op: "join-netns", path: "/run/netns/berth-1" },
      { op: "unshare", flags: CLONE_NEWUTS | CLONE_NEWIPC },
      { op: "set-hostname", hostname: "web" },
      { op: "sysctl", key: "net/ipv4/ip_unprivileged_port_start", value: "0" },
      { op: "sysctl", key: "net/ipv4/ping_group_range", value: "0 2147483647" },
      { op: "sysctl", key: "kernel/shm_rmid_forced", value: "1" },
      { op: "create-shm", sizeBytes: 64 * 1024 * 1024, uid: 0, gid: 0 },
      { op: "pod-init", nobody: 65_534 },
    ]);
  });

  test("a pod with everything of the host", () => {
    expect(plan({ network: "NODE", pid: "NODE", ipc: "NODE" })).toEqual([]);
  });

  test("host network keeps the host's name", () => {
    expect(plan({ network: "NODE" })).toEqual([
      { op: "unshare", flags: CLONE_NEWIPC },
      { op: "create-shm", sizeBytes: 64 * 1024 * 1024, uid: 0, gid: 0 },
    ]);
  });

  test("without a hostname the namespace keeps a copy of the host's", () => {
    expect(opsOf(plan({}, {}, ""))).not.toContain("set-hostname");
  });

  test.each([
    ["pid TARGET", { pid: "TARGET" }],
    ["network CONTAINER", { network: "CONTAINER" }],
    ["ipc TARGET", { ipc: "TARGET" }],
    ["userns CONTAINER", { userns: { mode: "CONTAINER", uids: [], gids: [] } }],
  ] as const)("%s is refused", (_, namespaces) => {
    expect(() => plan(namespaces)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test("a user namespace comes before what it owns", () => {
    const maps = { uidMap: "0 100000 65536", gidMap: "0 200000 65536" };
    expect(plan({ pid: "POD", userns: MAPPING })).toEqual([
      { op: "join-netns", path: "/run/netns/berth-1" },
      { op: "user-namespace", netnsPath: "/run/netns/berth-1", ...maps },
      { op: "unshare", flags: CLONE_NEWUTS | CLONE_NEWIPC },
      { op: "set-hostname", hostname: "web" },
      { op: "sysctl", key: "net/ipv4/ip_unprivileged_port_start", value: "0" },
      { op: "sysctl", key: "net/ipv4/ping_group_range", value: "0 65535" },
      { op: "create-shm", sizeBytes: 64 * 1024 * 1024, uid: 100_000, gid: 200_000 },
      { op: "pod-init", nobody: 65_534 },
    ]);
    // No network namespace has it: the monitor makes it.
    expect(plan({ network: "NODE", userns: MAPPING })[0]).toEqual({
      op: "user-namespace",
      netnsPath: "",
      ...maps,
    });
    expect(plan({ userns: { mode: "NODE", uids: [], gids: [] } })).toEqual(plan({}));
  });

  test.each(["a b", "a\n", "x".repeat(65), "ü"])("hostname %j is refused", (hostname) => {
    expect(() => plan({}, {}, hostname)).toThrow("hostname");
  });
});

describe("sysctls", () => {
  test.each([
    ["net.ipv4.ip_forward", "net/ipv4/ip_forward"],
    ["net/ipv4/conf/eth0.1/mtu", "net/ipv4/conf/eth0.1/mtu"],
    ["net.ipv4.conf.eth0/1.mtu", "net/ipv4/conf/eth0.1/mtu"],
    ["kernel.sem", "kernel/sem"],
    ["fs.mqueue.msg_max", "fs/mqueue/msg_max"],
  ])("%s is %s", (name, path) => {
    expect(sysctlPath(name)).toBe(path);
    expect(stepsOf(plan({}, { [name]: "1" }), "sysctl").map((step) => step.key)).toContain(path);
  });

  test("the pod's value replaces the default", () => {
    const steps = stepsOf(plan({}, { "net.ipv4.ip_unprivileged_port_start": "1024" }), "sysctl");
    expect(steps.filter((step) => step.key.endsWith("port_start"))).toEqual([
      { op: "sysctl", key: "net/ipv4/ip_unprivileged_port_start", value: "1024" },
    ]);
  });

  test.each([
    "kernel.panic",
    "vm.swappiness",
    "kernel.semaphore",
    "net",
    "net.",
    "net..ipv4",
    "net/../kernel/panic",
    "net/./ipv4",
    "kernel/shm/../panic",
    "kernel.shm_x/../../panic",
    "/net/ipv4/x",
    "net.ipv4.x\0",
    "",
    "fs.mqueue",
  ])("%j is refused", (name) => {
    expect(() => plan({}, { [name]: "1" })).toThrow(`sysctl ${JSON.stringify(name)}`);
  });

  test("what would change the host is refused", () => {
    expect(() => plan({ network: "NODE" }, { "net.ipv4.ip_forward": "1" })).toThrow("would change the host");
    expect(() => plan({ ipc: "NODE" }, { "kernel.shmmax": "1" })).toThrow("would change the host");
  });
});
