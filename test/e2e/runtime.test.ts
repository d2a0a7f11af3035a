// What pods and containers do once they run: processes, users, files, logs, ends.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NamespaceMode } from "../../src/gen/runtime/v1/api.ts";
import { makeImage } from "../images/layout.ts";
import { busyboxRecipe } from "../images/recipes.ts";
import { Tree } from "../images/tree.ts";
import type { Daemon } from "./daemon.ts";
import { processesOf } from "./support/leaks.ts";
import { BUSYBOX, PROBE, STATE, Stage } from "./support/stage.ts";

const USERS = "registry.k8s.io/e2e-test-images/users:1";

const ALL = { addCapabilities: ["ALL"] };

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, PROBE]);
  daemon = stage.daemon;
  await stage.registry.push(await usersImage(), "e2e-test-images/users:1");
  await daemon.ask("pullImage", { image: { image: USERS } });
});
afterAll(() => stage.remove());

let before: string[];
let pods: string[];
beforeEach(() => {
  before = daemon.inventory();
  pods = [];
});
afterEach(async () => {
  await Promise.all(pods.map((id) => stage.removePod(id)));
  expect(await daemon.leaks(before)).toEqual([]);
});

/** An account of its own, a variable, and the probe with the set-user-ID bit. */
function usersImage() {
  const probe = join(import.meta.dirname, "../../out/native/Release/probe");
  const recipe = busyboxRecipe({
    name: "users",
    reference: "berth.test/users:1",
    config: { User: "alice", Env: ["PATH=/bin:/usr/bin", "COLOUR=blue", "SIZE=1"], WorkingDir: "/home" },
    passwd: ["alice:x:1000:1000::/home:/bin/sh"],
    group: ["alice:x:1000:", "band:x:50000:alice"],
  });
  return makeImage({ ...recipe, layers: [...recipe.layers, new Tree().copy(probe, "setuid-probe", 0o4755)] });
}

async function runPod(...args: Parameters<Stage["runPod"]>): Promise<string> {
  const id = await stage.runPod(...args);
  pods.push(id);
  return id;
}

const withPid = (pid: NamespaceMode) => ({ linux: { securityContext: { namespaceOptions: { pid } } } });

describe("processes", () => {
  test("the pod's PID 1 reaps orphans, and containers of the pod see each other", async () => {
    const pod = await runPod("orphans");
    const script = "for n in 1 2 3 4; do (sleep 0.01 & ); done; exec sleep 1000";
    const first = await stage.run(pod, "first", BUSYBOX, ["sh", "-c", script]);
    const second = await stage.run(pod, "second", BUSYBOX, ["sleep", "2000"]);
    const names = async () => {
      const { out } = await stage.exec(second, "sh", "-c", "cat /proc/[0-9]*/comm");
      return out.trim().split("\n").sort();
    };
    await expect.poll(names).toEqual(["berth-init", "cat", "sleep", "sleep"]);
    expect((await stage.exec(first, "cat", "/proc/1/comm")).out).toBe("berth-init\n");
  });

  test("a PID namespace of its own: the program is PID 1 and alone", async () => {
    const pod = await runPod("alone");
    await stage.run(pod, "other", BUSYBOX, ["sleep", "2000"], withPid(NamespaceMode.CONTAINER));
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], withPid(NamespaceMode.CONTAINER));
    expect((await stage.exec(id, "cat", "/proc/1/cmdline")).out).toBe("sleep\u00001000\u0000");
    expect((await stage.exec(id, "sh", "-c", "echo /proc/[0-9]*")).out.split(" ")).toHaveLength(2);
  });

  test("the host's PID namespace", async () => {
    const pod = await runPod("host", withPid(NamespaceMode.NODE));
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], withPid(NamespaceMode.NODE));
    expect((await stage.exec(id, "cat", `/proc/${daemon.pid}/cmdline`)).out).toContain("berthd.mjs");
  });

  test("a timed-out exec is DEADLINE_EXCEEDED and leaves no process", async () => {
    const pod = await runPod("exec");
    const containerId = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
    const running = processesOf(daemon.scratch, [daemon.pid]);
    const cmd = ["sh", "-c", "sleep 3000 & setsid sleep 3001 & sleep 3002"];
    await expect(daemon.ask("execSync", { containerId, cmd, timeout: 1n })).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    await expect.poll(() => processesOf(daemon.scratch, [daemon.pid])).toEqual(running);
  });

  test("exec keeps streams apart and tells the exit code", async () => {
    const pod = await runPod("streams");
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
    const answer = await stage.exec(id, "sh", "-c", "echo out; echo err >&2; exit 42");
    expect(answer).toEqual({ out: "out\n", err: "err\n", code: 42 });
    const large = await stage.exec(id, "head", "-c", "3000000", "/dev/zero");
    expect(large.out.length).toBe(3_000_000);
    await expect(stage.exec(id, "/no/such/program")).rejects.toThrow("/no/such/program");
  });

  test("the same request twice runs one pod", async () => {
    const config = stage.podConfig("twice", { logDirectory: "" });
    const run = () => daemon.ask<{ podSandboxId: string }>("runPodSandbox", { config });
    const ids = (await Promise.all([run(), run(), run()])).map((answer) => answer.podSandboxId);
    ids.push((await run()).podSandboxId);
    pods.push(ids[0] as string);
    expect(new Set(ids).size).toBe(1);
  });
});

describe("users and files", () => {
  test("user, groups, environment and directory come from the image", async () => {
    const pod = await runPod("image");
    const script = "id; pwd; echo $COLOUR $SIZE $HOME";
    const envs = [{ key: "SIZE", value: Buffer.from("2") }];
    const id = await stage.run(pod, "c", USERS, ["sh", "-c", script], { envs });
    expect((await stage.exited(id)).exitCode).toBe(0);
    expect(stage.output("image", "c")).toBe(
      "uid=1000(alice) gid=1000(alice) groups=1000(alice),50000(band)\n/home\nblue 2 /home\n",
    );
  });

  test("user and groups of the request win", async () => {
    const pod = await runPod("request");
    const securityContext = {
      runAsUser: { value: 7n },
      runAsGroup: { value: 8n },
      supplementalGroups: [9n, 10n],
    };
    const id = await stage.run(pod, "c", USERS, ["sh", "-c", "id -u; id -g; id -G"], {
      linux: { securityContext },
    });
    await stage.exited(id);
    expect(stage.output("request", "c")).toBe("7\n8\n8 9 10\n");
  });

  test("a set-user-ID program gets its user, unless new privileges are ruled out", async () => {
    const pod = await runPod("setuid");
    const command = ["/setuid-probe", "effective-uid"];
    const free = await stage.run(pod, "free", USERS, command);
    const bound = await stage.run(pod, "bound", USERS, command, {
      linux: { securityContext: { noNewPrivs: true } },
    });
    await Promise.all([free, bound].map((id) => stage.exited(id)));
    expect(stage.output("setuid", "free")).toBe("Effective uid: 0\n");
    expect(stage.output("setuid", "bound")).toBe("Effective uid: 1000\n");
  });

  test("read-only root, masked and read-only paths", async () => {
    const pod = await runPod("files");
    const securityContext = {
      readonlyRootfs: true,
      maskedPaths: ["/proc/timer_list", "/etc/group", "/home"],
      readonlyPaths: ["/proc/sys"],
    };
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], { linux: { securityContext } });
    const sh = async (script: string) => {
      const { out, err } = await stage.exec(id, "sh", "-c", script);
      return out + err;
    };
    expect(await sh("touch /x")).toContain("Read-only file system");
    expect(await sh("wc -c < /etc/group; ls -A /home | wc -l")).toBe("0\n0\n");
    expect(await sh("echo 1 > /proc/sys/net/ipv4/ip_forward")).toContain("Read-only file system");
    expect(await sh("echo ok > /dev/shm/x && cat /dev/shm/x")).toBe("ok\n");
  });

  test("devices are opened as asked for, and a node that the container makes is not", async () => {
    const pod = await runPod("devices");
    const device = { hostPath: "/dev/zero", containerPath: "/dev/mine", permissions: "r" };
    const kmsg = { hostPath: "/dev/kmsg", containerPath: "/dev/kmsg", permissions: "rwm" };
    const options = { devices: [device, kmsg], linux: { securityContext: { capabilities: ALL } } };
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], options);
    const sh = (script: string) => stage.exec(id, "sh", "-c", script);
    // /dev/zero itself is everybody's, so the node's rights stand beside that.
    expect((await sh("head -c 3 /dev/mine | wc -c; true < /dev/kmsg && echo kmsg")).out).toBe("3\nkmsg\n");
    const { out, err } = await sh("mknod /dev/mem2 c 1 1 && echo made; head -c 1 /dev/mem2 && echo read");
    expect([out, err]).toEqual(["made\n", expect.stringContaining("Operation not permitted")]);
  });

  test("a CDI device brings its node, variable, mount and group", async () => {
    const pod = await runPod("cdi");
    const folder = join(daemon.scratch.folder, "cdi");
    mkdirSync(folder);
    const mounts = [{ hostPath: daemon.scratch.cniFolder, containerPath: "/drivers", options: ["ro"] }];
    const deviceNodes = [{ path: "/dev/toy", hostPath: "/dev/fuse", permissions: "r", gid: 44 }];
    const containerEdits = { env: ["TOY=yes"], mounts, deviceNodes, additionalGids: [44] };
    const devices = [{ name: "one", containerEdits }];
    const specification = { cdiVersion: "0.6.0", kind: "berth.test/toy", devices };
    writeFileSync(join(folder, "toy.json"), JSON.stringify(specification));
    const CDIDevices = [{ name: "berth.test/toy=one" }];
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], { CDIDevices });
    const script = "echo $TOY $(id -G); touch /drivers/x; true < /dev/toy && echo open; true > /dev/toy";
    const { out, err } = await stage.exec(id, "sh", "-c", script);
    expect(out).toBe("yes 0 44\nopen\n");
    expect(err).toMatch(/Read-only file system.*Operation not permitted/s);
    const shown = await daemon.ask<{ status: object }>("containerStatus", { containerId: id });
    expect(shown.status).toMatchObject({ mounts: [] });
    writeFileSync(join(folder, "broken.json"), "{");
    const missing = stage.run(pod, "none", BUSYBOX, ["true"], { CDIDevices: [{ name: "berth.test/toy=2" }] });
    await expect(missing).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: expect.stringMatching(/cannot be used.*broken\.json": .*JSON/),
    });
    expect(readFileSync(daemon.scratch.log, "utf8")).toMatch(
      /broken\.json.*CDI specification cannot be used/,
    );
  });

  test("volumes are there, writable or not", async () => {
    const pod = await runPod("volumes");
    const hostPath = daemon.scratch.cniFolder;
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"], {
      mounts: [
        { containerPath: "/data", hostPath },
        { containerPath: "/locked", hostPath, readonly: true },
      ],
    });
    expect((await stage.exec(id, "sh", "-c", "echo hello > /data/note; cat /locked/note")).out).toBe(
      "hello\n",
    );
    const refused = await stage.exec(id, "rm", "/locked/note");
    expect(refused.err).toContain("Read-only file system");
    expect((await stage.exec(id, "rm", "/data/note")).code).toBe(0);
    expect(existsSync(join(hostPath, "note"))).toBe(false);
  });

  test("resolv.conf, hosts and hostname", async () => {
    const pod = await runPod("names", {
      hostname: "mypod",
      dnsConfig: { servers: ["10.0.0.10"], searches: ["a.local", "b.local"], options: ["ndots:5"] },
    });
    const id = await stage.run(pod, "c", BUSYBOX, ["sleep", "1000"]);
    const read = async (...cmd: string[]) => (await stage.exec(id, ...cmd)).out;
    expect(await read("cat", "/etc/resolv.conf")).toBe(
      "search a.local b.local\nnameserver 10.0.0.10\noptions ndots:5\n",
    );
    expect(await read("hostname")).toBe("mypod\n");
    expect(await read("cat", "/etc/hostname")).toBe("mypod\n");
    expect(await read("cat", "/etc/hosts")).toMatch(/\tmypod$/m);
  });
});

describe("logs", () => {
  test("long lines come in parts, both streams are told apart", async () => {
    const pod = await runPod("long");
    const script = "head -c 40000 /dev/zero | tr '\\0' x; echo; echo short; echo bad >&2; printf tail";
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script]);
    await stage.exited(id);
    const lines = stage.log("long", "c").trimEnd().split("\n");
    for (const line of lines)
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d) std(out|err) [PF] /);
    const tags = lines.filter((line) => line.includes(" stdout ")).map((line) => line.split(" ")[2]);
    expect(tags.slice(0, 3)).toEqual(["P", "P", "F"]);
    expect(stage.output("long", "c").split("\n").slice(0, 2)).toEqual(["x".repeat(40000), "short"]);
    expect(stage.output("long", "c")).toContain("tail");
    expect(stage.output("long", "c", "stderr")).toBe("bad\n");
  });

  test("after a rename and ReopenContainerLog nothing is lost", async () => {
    const pod = await runPod("rotate");
    const script = "echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two; exec sleep 1000";
    const containerId = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script]);
    await expect.poll(() => stage.output("rotate", "c")).toBe("one\n");
    const path = join(daemon.scratch.folder, "logs/rotate/c.log");
    renameSync(path, `${path}.old`);
    await daemon.ask("reopenContainerLog", { containerId });
    await stage.exec(containerId, "touch", "/go");
    await expect.poll(() => stage.output("rotate", "c")).toBe("two\n");
    expect(stage.output("rotate", "c")).not.toContain("one");
  });
});

describe("ends", () => {
  test.each([
    ["exit 0", 0, "Completed"],
    ["exit 7", 7, "Error"],
    ["kill -9 $$", 137, "Error"],
    ["kill -15 $$; sleep 9", 143, "Error"],
  ])("%s", async (script, exitCode, reason) => {
    const pod = await runPod("ends");
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script]);
    expect(await stage.exited(id)).toMatchObject({ exitCode, reason });
  });

  test("a program that is not there: the error names it, the container is EXITED with 128", async () => {
    const pod = await runPod("absent");
    const containerId = await stage.create(pod, "c", BUSYBOX, ["/no/such/program"]);
    await expect(daemon.ask("startContainer", { containerId })).rejects.toThrow("/no/such/program");
    expect(await stage.status(containerId)).toMatchObject({
      state: STATE.EXITED,
      exitCode: 128,
      reason: "StartError",
    });
  });

  test("stop gives time to end well", async () => {
    const pod = await runPod("graceful");
    const containerId = await stage.run(pod, "c", PROBE, ["/probe", "sleep"]);
    await daemon.ask("stopContainer", { containerId, timeout: 30n });
    expect(await stage.status(containerId)).toMatchObject({ state: STATE.EXITED, exitCode: 0 });
    expect(stage.output("graceful", "c")).toBe("term\n");
  });

  test("stop kills what does not listen", async () => {
    const pod = await runPod("stubborn");
    const containerId = await stage.run(pod, "c", PROBE, ["/probe", "stubborn"]);
    await expect.poll(() => stage.output("stubborn", "c")).toBe("stubborn\n");
    await daemon.ask("stopContainer", { containerId, timeout: 1n });
    expect(await stage.status(containerId)).toMatchObject({ state: STATE.EXITED, exitCode: 137 });
    await daemon.ask("stopContainer", { containerId, timeout: 1n });
  });

  test("stopping the pod ends its containers", async () => {
    const podSandboxId = await runPod("whole");
    const id = await stage.run(podSandboxId, "c", PROBE, ["/probe", "stubborn"]);
    await daemon.ask("stopPodSandbox", { podSandboxId });
    expect(await stage.status(id)).toMatchObject({ state: STATE.EXITED, exitCode: 137 });
    expect(await stage.podStatus(podSandboxId)).toMatchObject({ state: 1 });
    await expect(stage.create(podSandboxId, "late", BUSYBOX, ["true"])).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
  });
});
