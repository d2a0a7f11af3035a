// PID namespaces in their modes, and what a container can reach of its monitor and of the host.

import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { NAMESPACES } from "../../unit/spec/fixture.ts";
import { PROBE, sharedPids, type TestContainer, type TestPod, usePods } from "./pod.ts";
import { childrenOf, processesOf, until } from "./processes.ts";

const startPod = usePods();

/** Starts the probe and waits until it has said so much. */
async function startSaying(pod: TestPod, args: readonly string[], text: string): Promise<TestContainer> {
  const container = await pod.start(args, { log: "said.log" });
  await until(() => readFileSync(container.log, "utf8").includes(text));
  return container;
}

function initOf(pod: TestPod): number {
  const found = childrenOf(pod.process.pid).find(({ name }) => name === "berth-init");
  if (found === undefined) throw new Error("the pod has no init");
  return found.pid;
}

describe("shared PID namespace", () => {
  test("a reaping PID 1 of the pod's own, which is no container's", async () => {
    const pod = await startPod(sharedPids());
    const first = await pod.report();
    const second = await pod.report();
    expect(first.pid).toBeGreaterThan(1);
    expect(second.namespace_pid).toBe(first.namespace_pid);
    const init = initOf(pod);
    expect(readdirSync(`/proc/${init}/fd`)).toEqual([]);
    const words = readFileSync(`/proc/${init}/cmdline`, "utf8").split("\0");
    expect(words.filter((word) => word !== "")).toEqual(["berth-init"]);
  });

  test("PID 1 has nothing and may nothing from the pod's first moment on", async () => {
    for (let round = 0; round < 10; round++) {
      const init = initOf(await startPod(sharedPids()));
      expect(readdirSync(`/proc/${init}/fd`)).toEqual([]);
      const status = readFileSync(`/proc/${init}/status`, "utf8");
      expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
      expect(status).toMatch(/^CapPrm:\t0+$/m);
      expect(status).toMatch(/^CapBnd:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(readFileSync(`/proc/${init}/cmdline`, "utf8").replaceAll("\0", "")).toBe("berth-init");
    }
  });

  test("orphans are reaped and leave no zombie", async () => {
    const pod = await startPod(sharedPids());
    const container = await startSaying(pod, ["fork-bomb-lite", "20", "stay"], "orphans: 20");
    const init = initOf(pod);
    await until(() => processesOf(container.cgroup).length === 1);
    await until(() => childrenOf(init).length === 0);
    expect(childrenOf(container.process.pid)).toEqual([]);
  });

  test("containers see each other", async () => {
    const pod = await startPod(sharedPids());
    await pod.start(["sleep"]);
    const { stdout } = await pod.run(["stat", "/proc/1", "/proc/2", "/proc/3"]);
    expect(stdout.toString()).toMatch(/^\/proc\/1 40555 .*\n\/proc\/2 40555 .*\n\/proc\/3 40555 .*\n$/);
  });

  test.each([
    ["as it is", {}],
    ["with CAP_SYS_PTRACE", { addCapabilities: ["SYS_PTRACE"] }],
    ["with every capability", { addCapabilities: ["ALL"] }],
  ])("PID 1 leads a container neither to the monitor nor to the host, %s", async (_name, security) => {
    const pod = await startPod(sharedPids());
    const before = readlinkSync(`/proc/${pod.process.pid}/exe`);
    for (const place of ["exe", "root/written", "cwd/written", "root/shm/../written"]) {
      const { stdout, exitCode } = await pod.run(["write", `/proc/1/${place}`, "x"], { security });
      expect([exitCode, stdout.toString()], place).toEqual([
        1,
        expect.stringMatching(/^write: E(ACCES|PERM|TXTBSY|ROFS|NOENT)\n$/),
      ]);
    }
    const places = ["/proc/1/root/etc", "/proc/1/root/proc", "/proc/1/cwd/tmp", "/proc/1/fd/0"];
    const { stdout } = await pod.run(["stat", ...places], { security });
    for (const line of stdout.toString().trim().split("\n")) expect(line).toMatch(/ E(NOENT|ACCES|PERM)$/);
    expect(readlinkSync(`/proc/${pod.process.pid}/exe`)).toBe(before);
    expect((await pod.run(["exit", "9"])).exitCode).toBe(9);
  });
});

describe("PID namespace of its own", () => {
  test("orphans come to the container's first process", async () => {
    const pod = await startPod();
    const container = await startSaying(pod, ["leave-behind", "stay"], "left behind: 2");
    expect(childrenOf(container.process.pid)).toHaveLength(2);
  });

  test("of another container, which it then sees", async () => {
    const pod = await startPod();
    const target = await pod.start(["sleep"]);
    const namespaces = { ...NAMESPACES, pid: "TARGET", targetId: target.id } as const;
    const report = await pod.report({ security: { namespaces }, request: { pidTarget: target.id } });
    expect(report.pid).toBe(2);
    expect(`pid:[${report.namespace_pid}]`).toBe(readlinkSync(`/proc/${target.process.pid}/ns/pid`));
  });
});

describe("PID namespace of the host", () => {
  test("orphans come to the monitor, which reaps them", async () => {
    const pod = await startPod({ security: { namespaces: { ...NAMESPACES, pid: "NODE" } } });
    const container = await startSaying(pod, ["fork-bomb-lite", "20", "stay"], "orphans: 20");
    await until(() => processesOf(container.cgroup).length === 1);
    await until(() => childrenOf(pod.process.pid).length === 1);
    const report = await pod.report();
    expect(`pid:[${report.namespace_pid}]`).toBe(readlinkSync("/proc/self/ns/pid"));
  });
});

test("a prepared process holds nothing of the monitor", async () => {
  const pod = await startPod(sharedPids());
  const sleeper = await pod.start(["cat-stdin"], { container: { stdin: true }, log: "c.log" });
  const session = pod.exec(sleeper, ["cat-stdin"], { stdin: true });
  await session.started;
  const prepared = await pod.prepare(["exit", "0"]);
  const links = readdirSync(`/proc/${prepared.process.pid}/fd`)
    .filter((name) => Number(name) > 2)
    .map((name) => readlinkSync(`/proc/${prepared.process.pid}/fd/${name}`));
  expect(links.filter((link) => !/^(socket:|mnt:|anon_inode:\[pidfd\]|\/|$)/.test(link))).toEqual([]);
  expect(links.filter((link) => link.startsWith("socket:"))).toHaveLength(1);
  expect(links.filter((link) => link.includes("log"))).toEqual([]);
});

test("a container with a link for a working directory of the host's stays inside", async () => {
  const pod = await startPod();
  const options = { container: { workingDir: "/proc/self/fd/7" } };
  const outcome = await pod.run(["stat", "."], options).catch((error: unknown) => error);
  expect(outcome).toMatchObject({ name: "KernelError" });
  const container = await pod.start(["sleep"]);
  for (const fd of [3, 4, 5, 6, 7, 8, 9, 10]) {
    const session = pod.exec(container, [], {
      input: { argv: [PROBE, "stat", "."], workingDir: `/proc/self/fd/${fd}` },
    });
    await expect(session.exited, String(fd)).rejects.toMatchObject({ name: "KernelError" });
  }
  expect(existsSync(join(pod.directory, "v"))).toBe(true);
});
