// What a process finds itself to be: identity, limits, namespaces, environment.

import { readlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CAPABILITY_NAMES, capabilityMask } from "../../../src/spec/capabilities.ts";
import { NAMESPACES } from "../../unit/spec/fixture.ts";
import { usePods } from "./pod.ts";

const startPod = usePods();
/** RET ALLOW. */
const ALLOW_ALL = new Uint8Array([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]);

test("a container with nothing special", async () => {
  const pod = await startPod();
  const report = await pod.report();
  expect(report).toMatchObject({
    pid: 1,
    ppid: 0,
    process_group: 1,
    session: 1,
    uid: 0,
    groups: ["0"],
    umask: "0022",
    signals_blocked: "0000000000000000",
    signals_ignored: "0000000000000000",
    no_new_privs: false,
    seccomp: "0",
    hostname: "web",
    working_directory: "/",
    exe: "/bin/probe",
    stdin_is_terminal: false,
    root_writable: true,
    interfaces: ["lo"],
    environment: ["PATH=/bin", "LANG=C", "HOSTNAME=web", "HOME=/root"],
  });
  expect(report.cgroup).toContain("0::/");
  const limits = [
    "core 0 unlimited",
    "stack 8388608 unlimited",
    "nice 0 0",
    "rtprio 0 0",
    "as unlimited unlimited",
  ];
  for (const limit of limits) expect(report.limits).toContain(limit);
  expect(report.limits).toContain(`nofile 1024 ${Math.min(1_048_576, pod.host.nofileHard)}`);
  expect(report.limits).toHaveLength(16);
  expect((report.descriptors as string[]).map((line) => line.split(" ")[0])).toEqual(["0", "1", "2"]);
  for (const kind of ["cgroup", "ipc", "mnt", "net", "pid", "uts"]) {
    const ours = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/ns/${kind}`))?.[1];
    expect(report[`namespace_${kind}`], kind).not.toBe(ours);
  }
});

test("user, groups, capabilities, no_new_privs and filter", async () => {
  const pod = await startPod();
  const report = await pod.report({
    container: { workingDir: "/made/for/it" },
    security: { noNewPrivs: true, addCapabilities: ["SYS_PTRACE"], dropCapabilities: ["NET_RAW"] },
    input: {
      user: { uid: 1000, gid: 2000, groups: [2000, 50_000], home: "/home/web" },
      seccomp: ALLOW_ALL,
    },
  });
  expect(report).toMatchObject({
    uid: 1000,
    uid_real: 1000,
    uid_saved: 1000,
    gid: 2000,
    gid_real: 2000,
    gid_saved: 2000,
    groups: ["2000", "50000"],
    no_new_privs: true,
    seccomp: "2",
    seccomp_filters: "1",
    working_directory: "/made/for/it",
    capabilities: [],
    capabilities_inheritable: "0000000000000000",
    capabilities_ambient: "0000000000000000",
  });
  const bounding = BigInt(`0x${report.capabilities_bounding}`);
  expect(bounding & capabilityMask(["SYS_PTRACE"])).not.toBe(0n);
  expect(bounding & capabilityMask(["NET_RAW"])).toBe(0n);
  expect(report.environment).toContain("HOME=/home/web");
});

test("ambient capabilities reach the program of a user", async () => {
  const pod = await startPod();
  const report = await pod.report({
    security: { addCapabilities: ["NET_ADMIN"], ambientCapabilities: ["NET_ADMIN"] },
    input: { user: { uid: 1000, gid: 1000, groups: [1000], home: "/" } },
  });
  expect(report.capabilities).toEqual(["net_admin"]);
});

test("a privileged container has every capability of the host's bounding set", async () => {
  const pod = await startPod({ security: { privileged: true } });
  const report = await pod.report({ security: { privileged: true } });
  const capabilities = report.capabilities as string[];
  expect(capabilities).toContain("sys_admin");
  expect(capabilities.length).toBeGreaterThan(CAPABILITY_NAMES.length - 4);
  expect(report.mounts).toContain("/sys sysfs rw,nosuid,nodev,noexec,relatime");
});

test("environment and arguments are bytes", async () => {
  const pod = await startPod();
  const report = await pod.report({
    container: {
      envs: [
        { name: "BYTES", value: "a\xff\xfe b" },
        { name: "EMPTY", value: "" },
      ],
    },
  });
  expect(report.environment).toContain("EMPTY=");
  const { stdout } = await pod.run(["report"], {
    container: { envs: [{ name: "BYTES", value: "a\xff\xfe b" }] },
  });
  expect(stdout.includes(Buffer.from("BYTES=a\xff\xfe b", "latin1"))).toBe(true);
});

test("a pod of the host's network and IPC has the host's names", async () => {
  const pod = await startPod({
    security: { namespaces: { ...NAMESPACES, network: "NODE", ipc: "NODE", pid: "NODE" } },
  });
  const report = await pod.report();
  for (const kind of ["ipc", "net", "pid", "uts"]) {
    const ours = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/ns/${kind}`))?.[1];
    expect(report[`namespace_${kind}`], kind).toBe(ours);
  }
  expect(report.pid).toBeGreaterThan(1);
});

describe("oom score", () => {
  test("raised", async () => {
    const pod = await startPod();
    const resources = { oomScoreAdj: 900 } as never;
    expect((await pod.report({ container: { resources } })).oom_score_adj).toBe("900");
  });
});

test("a terminal", async () => {
  const pod = await startPod();
  const report = await pod.report({ container: { tty: true, envs: [{ name: "PATH", value: "/bin" }] } });
  expect(report.stdin_is_terminal).toBe(true);
  expect(report.descriptors).toEqual(["0 /dev/pts/0", "1 /dev/pts/0", "2 /dev/pts/0"]);
  expect(report.environment).toContain("TERM=xterm");
  expect(report.devices).toContain("console");
});

test("a program without a slash is searched for; a missing one is told with its step", async () => {
  const pod = await startPod();
  expect((await pod.run([], { container: { command: ["probe", "exit", "7"] } })).exitCode).toBe(7);
  const missing = await pod.prepare([], { container: { command: ["/bin/missing"] } });
  const failure = await pod.monitor.start(missing.id).catch((error: unknown) => error);
  expect(failure).toMatchObject({ errno: "ENOENT", path: "/bin/missing" });
  expect((failure as { step: string }).step).toMatch(/^plan:\d+/);
});
