// What goes on with the containers of external runtimes: execs, attached clients, stats, changed limits. With
// Debian's crun and runc, in pods with and without a user namespace.

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type ContainerStatsResponse,
  type ListPodSandboxMetricsResponse,
  NamespaceMode,
  type PodSandboxStatsResponse,
} from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { CrictlProcess } from "./support/crictl-process.ts";
import { BUSYBOX, STATE, Stage } from "./support/stage.ts";

const RUNTIMES = ["crun", "runc"];
const TOML = RUNTIMES.map((name) => `[handlers.${name}]\npath = "/usr/bin/${name}"`).join("\n");
const PODS = RUNTIMES.flatMap((name) => [[name, false] as const, [name, true] as const]);
const RANGE = [{ containerId: 0, hostId: 600_000, length: 65_536 }];
const USERNS = { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE };
const SLEEP = ["sleep", "100000"];
const MIB = 1 << 20;

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX], [], { toml: TOML });
  daemon = stage.daemon;
});
afterAll(() => stage.remove());

let before: string[];
beforeEach(() => {
  before = daemon.inventory();
});
afterEach(async () => {
  await stage.removePods();
  expect(await daemon.leaks(before)).toEqual([]);
  expect(readdirSync(join(daemon.scratch.state, "o"))).toEqual([]);
});

const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const crictl = (args: string[], options: { atTerminal?: boolean } = {}) =>
  new CrictlProcess(daemon.scratch, args, options);

describe.each(PODS)("%s, with a user namespace: %s", (handler, mapped) => {
  let made = 0;
  let podName = "";
  const namespaces = (more: object = {}) => {
    const namespaceOptions = { ...(mapped ? { usernsOptions: USERNS } : {}), ...more };
    return { linux: { securityContext: { namespaceOptions } } };
  };
  const runPod = () => {
    podName = `${handler}-${mapped}-${++made}`;
    return stage.runPod(podName, namespaces(), handler);
  };

  test("ExecSync: exit codes, signals, what is not there, output as large as it may be", async () => {
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP);
    for (const code of [0, 1, 126, 255]) {
      expect((await stage.exec(id, "sh", "-c", `exit ${code}`)).code).toBe(code);
    }
    expect((await stage.exec(id, "sh", "-c", "kill -9 $$")).code).toBe(137);
    await expect(stage.exec(id, "/no/such/thing")).rejects.toThrow("/no/such/thing");
    const script = `head -c ${20 * MIB} /dev/zero; head -c ${3 * MIB} /dev/zero >&2; exit 5`;
    const { out, err, code } = await stage.exec(id, "sh", "-c", script);
    // What is more than a client of the CRI takes is dropped, and the command still goes on to its end.
    expect([out.length, err.length, code]).toEqual([13 * MIB - 65_536, 3 * MIB, 5]);
    const many = await Promise.all(
      Array.from({ length: 12 }, (_, n) => stage.exec(id, "sh", "-c", `echo ${n}`)),
    );
    expect(many.map(({ out: text }) => text)).toEqual(Array.from({ length: 12 }, (_, n) => `${n}\n`));
  });

  test("ExecSync: a time-out kills all of it, and the container goes on", async () => {
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP);
    const script = "trap '' TERM INT HUP; setsid sleep 987 & sh -c 'sleep 986; true' & echo begun; sleep 985";
    const asked = { containerId: id, cmd: ["sh", "-c", script], timeout: 1n };
    await expect(daemon.ask("execSync", asked)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect((await stage.exec(id, "ps")).out).not.toMatch(/sleep 98[567]/);
    expect((await stage.status(id)).state).toBe(STATE.RUNNING);
  });

  test.each(["spdy", "websocket"])(
    "exec over %s: input to its end, a terminal and its size",
    async (transport) => {
      const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP);
      const bytes = randomBytes(3 * MIB);
      const copying = crictl(["exec", "--transport", transport, "-i", id, "cat"]);
      copying.write(bytes);
      const copied = await copying.finish();
      expect(copied.code, copied.stderr).toBe(0);
      expect(hash(copied.stdout)).toBe(hash(bytes));
      const failed = await crictl([
        "exec",
        "--transport",
        transport,
        id,
        "sh",
        "-c",
        "echo e >&2; exit 7",
      ]).finish();
      expect(failed.stderr).toMatch(/e\n(.*\n)*.*exit code 7/);
      const script = "test -t 0 && stty size; tty; exit 3";
      const words = ["exec", "--transport", transport, "-it", id, "sh", "-c", script];
      const terminal = await crictl(words, { atTerminal: true }).finish();
      expect(terminal.stdout.toString()).toMatch(/33 77\r+\n\/dev\/pts\/\d+\r+\n/);
    },
  );

  test("exec -d goes on without its client", async () => {
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP);
    const berth = join(import.meta.dirname, "../../out/berth.cjs");
    execFileSync(process.execPath, [berth, "-H", daemon.scratch.socket, "exec", "-d", id, "sleep", "7531"]);
    await daemon.restart();
    expect((await stage.exec(id, "ps")).out).toContain("sleep 7531");
  });

  test("attach: output and input of the first process, and its end", async () => {
    const pod = await runPod();
    const script = "while read line; do echo got $line; done; echo end; exit 6";
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script], { stdin: true, stdinOnce: true });
    const attached = crictl(["attach", "-i", id]);
    attached.write("one\n");
    await expect.poll(() => attached.stdout.toString()).toBe("got one\n");
    const watching = crictl(["attach", id]);
    attached.write("two\n");
    await expect.poll(() => stage.output(podName, "c")).toBe("got one\ngot two\n");
    await attached.finish();
    expect((await stage.exited(id)).exitCode).toBe(6);
    await watching.finish();
    expect(stage.output(podName, "c")).toBe("got one\ngot two\nend\n");
    expect(attached.stdout.toString()).toContain("end\n");
  });

  test("attach: a terminal", async () => {
    const script = "read line; echo got $line; stty size; exit 4";
    const changes = { stdin: true, tty: true };
    const id = await stage.create(await runPod(), "c", BUSYBOX, ["sh", "-c", script], changes);
    const attached = crictl(["attach", "-it", id], { atTerminal: true });
    await daemon.ask("startContainer", { containerId: id });
    attached.write("word\n");
    expect((await stage.exited(id)).exitCode).toBe(4);
    await attached.finish();
    expect(stage.output(podName, "c")).toMatch(/got word\r\n/);
  });

  test("the PID namespace of another container", async () => {
    const pod = await runPod();
    const own = namespaces({ pid: NamespaceMode.CONTAINER });
    const app = await stage.run(pod, "app", BUSYBOX, ["sleep", "4321"], own);
    const target = namespaces({ pid: NamespaceMode.TARGET, targetId: app });
    const helper = await stage.run(pod, "helper", BUSYBOX, SLEEP, target);
    expect((await stage.exec(helper, "cat", "/proc/1/cmdline")).out).toBe("sleep\u00004321\u0000");
    const ns = (id: string) => stage.exec(id, "readlink", "/proc/self/ns/pid");
    expect((await ns(helper)).out).toBe((await ns(app)).out);
    // The end of the namespace's first process is that of all.
    await daemon.ask("stopContainer", { containerId: app, timeout: 0n });
    expect((await stage.exited(helper)).exitCode).toBe(137);
    const late = stage.create(pod, "late", BUSYBOX, SLEEP, target);
    await expect(late).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
  });

  test("stats and metrics count its processes, what they use and what they write", async () => {
    const pod = await runPod();
    const script = "dd if=/dev/zero of=/big bs=1M count=3; while :; do :; done";
    const containerId = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script]);
    const ask = async () =>
      (await daemon.ask<ContainerStatsResponse>("containerStats", { containerId })).stats;
    const used = async () => (await ask())?.cpu?.usageCoreNanoSeconds?.value ?? 0n;
    const first = await used();
    await expect.poll(used, { timeout: 20_000 }).toBeGreaterThan(first);
    expect((await ask())?.memory?.workingSetBytes?.value).toBeGreaterThan(10_000n);
    await expect
      .poll(async () => (await ask())?.writableLayer?.usedBytes?.value, { timeout: 30_000 })
      .toBeGreaterThanOrEqual(3n * 1024n * 1024n);
    const counted = async () => {
      const request = { podSandboxId: pod };
      const { stats } = await daemon.ask<PodSandboxStatsResponse>("podSandboxStats", request);
      return stats?.linux?.process?.processCount?.value;
    };
    // The shell, the monitor and the pod's init, once dd has ended.
    await expect.poll(counted).toBe(3n);
    const metrics = async (...names: string[]) => {
      const { podMetrics } = await daemon.ask<ListPodSandboxMetricsResponse>("listPodSandboxMetrics", {});
      const own = podMetrics.find(({ podSandboxId }) => podSandboxId === pod)?.containerMetrics[0]?.metrics;
      return names.map((name) => own?.find((sample) => sample.name === name)?.value?.value);
    };
    await expect
      .poll(() => metrics("container_processes", "container_file_descriptors", "container_ulimits_soft"))
      .toEqual([1n, 3n, 1024n]);
  });

  test("UpdateContainerResources: what the host can is done, what it cannot is refused by name", async () => {
    const pod = await runPod();
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP);
    const update = (linux: object) => daemon.ask("updateContainerResources", { containerId: id, linux });
    await update({ oomScoreAdj: 789n, unified: { "cgroup.max.descendants": "77" } });
    expect((await stage.exec(id, "cat", "/proc/1/oom_score_adj", "/proc/self/oom_score_adj")).code).toBe(0);
    const info = await daemon.ask<{ info: Record<string, string> }>("containerStatus", {
      containerId: id,
      verbose: true,
    });
    const { pid, cgroupPath } = JSON.parse(info.info.info ?? "{}") as { pid: number; cgroupPath: string };
    expect(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8")).toBe("789\n");
    expect(readFileSync(join(cgroupPath, "cgroup.max.descendants"), "utf8")).toBe("77\n");
    if (!existsSync(join(cgroupPath, "memory.max"))) {
      const refused = update({ memoryLimitInBytes: 64n * 1024n * 1024n });
      await expect(refused).rejects.toMatchObject({ details: expect.stringContaining("memory") });
    }
    expect(readFileSync(join(cgroupPath, "cgroup.max.descendants"), "utf8")).toBe("77\n");
    expect((await stage.status(id)).state).toBe(STATE.RUNNING);
  });
});
