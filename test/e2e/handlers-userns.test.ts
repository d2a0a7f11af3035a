// Pods with a user namespace, whoever makes their processes: berth itself, crun or runc.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NamespaceMode, type StatusResponse } from "../../src/gen/runtime/v1/api.ts";
import type { Daemon } from "./daemon.ts";
import { mountLinesOf } from "./support/leaks.ts";
import { BUSYBOX, NGINX, PROBE, STATE, Stage } from "./support/stage.ts";

const HANDLERS = ["native", "crun", "runc"] as const;
const TOML = ["crun", "runc"].map((name) => `[handlers.${name}]\npath = "/usr/bin/${name}"`).join("\n");
const FIRST = 400_000;
const RANGE = [{ containerId: 0, hostId: FIRST, length: 65_536 }];
const POD = { mode: NamespaceMode.POD, uids: RANGE, gids: RANGE };
const SLEEP = ["sleep", "1000"];

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX, PROBE, NGINX], [], { toml: TOML });
  daemon = stage.daemon;
});
afterAll(() => stage.remove());

let before: string[];
/** Of the newest pod: names its log directory. */
let podName: string;
let made = 0;
let mounts: string[];
beforeEach(() => {
  before = daemon.inventory();
  mounts = mountLinesOf(daemon.scratch);
});
afterEach(async () => {
  await stage.removePods();
  expect(mountLinesOf(daemon.scratch)).toEqual(mounts);
  expect(await daemon.leaks(before)).toEqual([]);
});

function linux(security: object = {}, namespaces: object = {}) {
  const namespaceOptions = { usernsOptions: POD, ...namespaces };
  return { linux: { securityContext: { ...security, namespaceOptions } } };
}

const sh = (id: string, script: string) => stage.exec(id, "sh", "-c", script);
const ALL = { capabilities: { addCapabilities: ["ALL"] } };

test("Status says that all of them can", async () => {
  const { runtimeHandlers } = await daemon.ask<StatusResponse>("status", {});
  expect(runtimeHandlers.map(({ name, features }) => [name, features?.userNamespaces])).toEqual(
    ["", "native", "crun", "runc"].map((name) => [name, true]),
  );
});

describe.each(HANDLERS)("%s", (handler) => {
  const runPod = (changes: object = linux()) => {
    podName = `${handler}-${++made}`;
    return stage.runPod(podName, changes, handler);
  };

  test.each(["POD", "CONTAINER", "NODE"] as const)("identity, with pid mode %s", async (mode) => {
    const changes = linux({}, { pid: NamespaceMode[mode] });
    const pod = await runPod({ hostname: "mapped", ...changes });
    const id = await stage.run(pod, "c", BUSYBOX, SLEEP, changes);
    const seen = await sh(id, "id -u; hostname; tr -s ' ' < /proc/self/uid_map; cat /proc/1/comm");
    const first = {
      POD: "berth-init",
      CONTAINER: "sleep",
      NODE: readFileSync("/proc/1/comm", "utf8").trim(),
    };
    expect(seen).toEqual({ out: `0\nmapped\n 0 ${FIRST} 65536\n${first[mode]}\n`, err: "", code: 0 });
    const info = await daemon.ask<{ info: Record<string, string> }>("containerStatus", {
      containerId: id,
      verbose: true,
    });
    const { pid } = JSON.parse(info.info.info ?? "{}") as { pid: number };
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toContain(`\nUid:\t${FIRST}\t${FIRST}\t`);
    expect(readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(readlinkSync("/proc/self/ns/user"));
  });

  test("the host's network and IPC namespaces", async () => {
    const changes = linux({}, { network: NamespaceMode.NODE, ipc: NamespaceMode.NODE });
    const id = await stage.run(await runPod(changes), "c", BUSYBOX, SLEEP, changes);
    const seen = await sh(
      id,
      "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; ls /sys/class/net /dev/mqueue",
    );
    const host = ["net", "ipc"].map((name) => readlinkSync(`/proc/self/ns/${name}`));
    expect(seen.out.split("\n")).toEqual(expect.arrayContaining([...host, "lo"]));
    expect((await sh(id, "echo 1 > /sys/kernel/mm/ksm/run")).err).toMatch(/Read-only|denied/);
  });

  test("export and save give the ids that the container sees", async () => {
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP, linux());
    const script = `mkdir -p /made/deep; echo x > /made/root
      echo y > /made/other; chown 1000:2000 /made/other
      ln -s other /made/link; mkfifo /made/pipe; ln /made/other /made/hard; chown -h 65535:65535 /made/link
      chown 7:8 /etc/passwd; stat -c '%u:%g %n' /etc /etc/passwd /bin/busybox /made/*`;
    const { out, err } = await sh(id, script);
    expect(err).toBe("");
    expect(out).toContain("1000:2000 /made/other\n");
    const seen = new Map(
      out
        .trim()
        .split("\n")
        .map((line) => line.split(" /").reverse() as [string, string]),
    );
    const tarOf = async (...args: string[]) => {
      const file = join(daemon.scratch.folder, "out.tar");
      await daemon.berth(...args, "-o", file);
      return file;
    };
    const owners = (tar: string) => {
      const list = execFileSync("tar", ["--numeric-owner", "-tvf", tar], { encoding: "utf8" })
        .trim()
        .split("\n");
      const fields = list.map((line) =>
        /^\S+ (\d+)\/(\d+) +(?:\d+,)?\d+ \S+ \S+ (?:\.\/)?(.*?)\/?(?: (?:->|link to) .*)?$/.exec(line),
      );
      return new Map(fields.map((found) => [found?.[3] ?? "", `${found?.[1]}:${found?.[2]}`]));
    };
    const exported = owners(await tarOf("export", id));
    for (const [path, owner] of seen) expect([path, exported.get(path)]).toEqual([path, owner]);
    expect(seen.size).toBeGreaterThan(8);
    for (const owner of exported.values()) expect(Number(owner.split(":")[0])).toBeLessThan(65_536);
    // The image is what it was: its layers still give the very tars that it was made of.
    const archive = await tarOf("save", BUSYBOX);
    const layers = execFileSync("tar", ["-tf", archive], { encoding: "utf8" })
      .split("\n")
      .filter((name) => /blobs\/sha256\/./.test(name));
    expect(layers.length).toBeGreaterThan(2);
    for (const name of layers) {
      const bytes = execFileSync("tar", ["-xOf", archive, name], { maxBuffer: 1 << 28 });
      expect(name).toContain(createHash("sha256").update(bytes).digest("hex"));
    }
  });

  test("files: the image's, /etc, new ones on the disk", async () => {
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP, linux());
    expect((await sh(id, "stat -c %u:%g / /bin /dev /dev/shm /dev/mqueue")).out).toBe("0:0\n".repeat(5));
    expect((await sh(id, "echo 10.0.0.1 other >> /etc/hosts && cat /etc/hosts")).out).toContain("other");
    expect((await sh(id, "echo text > /new && ls -n /new")).out).toMatch(/ 0 +0 /);
    const upper = `${daemon.scratch.root}/s/c`;
    const made = execFileSync("find", [upper, "-name", "new", "-printf", "%U:%G"], { encoding: "utf8" });
    expect(made).toBe("0:0");
    expect((await sh(id, "echo x > /dev/shm/x; echo y > /dev/null; head -c 3 /dev/zero | wc -c")).out).toBe(
      "3\n",
    );
  });

  test("volumes: mapped, not mapped, of an image, read-only all the way down", async () => {
    const folder = join(daemon.scratch.folder, `volume-${handler}`);
    const inner = join(folder, "inner");
    mkdirSync(inner, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "nosuid,nodev,noexec", "tmpfs", inner]);
    try {
      const maps = { uidMappings: RANGE, gidMappings: RANGE };
      const volume = (containerPath: string, more: object = {}) => ({
        containerPath,
        hostPath: folder,
        ...more,
      });
      const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP, {
        ...linux(ALL),
        mounts: [
          volume("/mapped", maps),
          volume("/plain"),
          volume("/ro", { ...maps, readonly: true }),
          volume("/rro", { ...maps, readonly: true, recursiveReadOnly: true }),
          { containerPath: "/inner", hostPath: inner, mountOptions: ["noexec"] },
          { containerPath: "/img", image: { image: NGINX }, readonly: true },
          { containerPath: "/part", image: { image: NGINX }, imageSubPath: "etc/passwd", readonly: true },
        ],
      });
      expect((await sh(id, "touch /mapped/new && stat -c %u /mapped/new /mapped /plain")).out).toBe(
        "0\n0\n65534\n",
      );
      expect(statSync(join(folder, "new")).uid).toBe(0);
      expect((await sh(id, "touch /plain/other")).err).toContain("Permission denied");
      expect((await sh(id, "touch /ro/other")).err).toContain("Read-only");
      expect(
        (await sh(id, "touch /rro/other; touch /rro/inner/other; touch /img/x")).err.match(/Read-only/g),
      ).toHaveLength(3);
      expect((await sh(id, "head -n 1 /part; stat -c %u /img/etc")).out).toMatch(/^root:.*\n0\n$/);
      // What the container may not, no capability in its user namespace undoes.
      expect((await sh(id, "mount -o remount,rw,bind /ro && touch /ro/other")).code).not.toBe(0);
      expect((await sh(id, "mount -o remount,dev,bind /mapped")).code).not.toBe(0);
    } finally {
      execFileSync("umount", [inner]);
    }
  });

  test("a device under another path, and none but what was asked for", async () => {
    const devices = [{ hostPath: "/dev/full", containerPath: "/dev/some/zero", permissions: "rw" }];
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP, { ...linux(), devices });
    expect((await sh(id, "stat -c %t:%T /dev/some/zero && head -c 5 /dev/some/zero | wc -c")).out).toBe(
      "1:7\n5\n",
    );
    expect((await sh(id, "echo x > /dev/some/zero")).err).toContain("No space left");
    expect((await sh(id, "ls /dev")).out).not.toContain("kmsg");
  });

  test("privileged: cgroups of its own, the network's sysctls, nothing of the host's", async () => {
    const privileged = linux({ privileged: true });
    const id = await stage.run(await runPod(privileged), "c", BUSYBOX, SLEEP, privileged);
    expect(await sh(id, "mkdir /sys/fs/cgroup/own && rmdir /sys/fs/cgroup/own")).toMatchObject({
      code: 0,
      err: "",
    });
    expect((await sh(id, "echo 1 > /proc/sys/net/ipv4/ip_forward")).code).toBe(0);
    expect((await sh(id, "echo x > /proc/sys/kernel/core_pattern")).code).not.toBe(0);
    expect((await sh(id, "mount -t tmpfs none /mnt && umount /mnt")).code).toBe(0);
  });

  test("the read-only root, users, a terminal, output that is opened again", async () => {
    const pod = await runPod();
    const user = { runAsUser: { value: 1000n }, runAsGroup: { value: 1000n }, supplementalGroups: [7n] };
    const script = "id; echo again > /dev/stdout; touch /new; exit 3";
    const changes = linux({ ...user, readonlyRootfs: true });
    const id = await stage.run(pod, "c", BUSYBOX, ["sh", "-c", script], changes);
    expect((await stage.exited(id)).exitCode).toBe(3);
    expect(stage.output(podName, "c")).toBe("uid=1000 gid=1000 groups=7,1000\nagain\n");
    expect(stage.output(podName, "c", "stderr")).toContain("Read-only file system");
    const tty = await stage.run(pod, "t", BUSYBOX, ["sh", "-c", "tty; stat -c %u $(tty); exit 4"], {
      ...linux(user),
      tty: true,
    });
    expect((await stage.exited(tty)).exitCode).toBe(4);
    expect(stage.output(podName, "t")).toMatch(/^\/dev\/(console|pts\/0)\r\n1000\r\n$/);
  });

  test("exec: user, exit codes, a time-out that leaves nothing", async () => {
    const id = await stage.run(await runPod(), "c", BUSYBOX, SLEEP, linux());
    expect(await sh(id, "id -u; echo bad >&2; exit 9")).toEqual({ out: "0\n", err: "bad\n", code: 9 });
    expect((await sh(id, "tr -s ' ' < /proc/self/uid_map; echo x > /dev/stdout")).out).toBe(
      ` 0 ${FIRST} 65536\nx\n`,
    );
    const asked = { containerId: id, cmd: ["sh", "-c", "setsid sleep 987 & sleep 986"], timeout: 1n };
    await expect(daemon.ask("execSync", asked)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect((await stage.exec(id, "ps")).out).not.toMatch(/sleep 98[67]/);
  });

  test("the daemon may die; the PID namespace of another container; the network", async () => {
    const pod = await runPod();
    const own = linux({}, { pid: NamespaceMode.CONTAINER });
    const running = await stage.run(pod, "running", BUSYBOX, ["sleep", "4321"], own);
    const created = await stage.create(
      pod,
      "created",
      BUSYBOX,
      ["sh", "-c", "echo started; exit 4"],
      linux(),
    );
    const ending = await stage.run(pod, "ending", BUSYBOX, ["sh", "-c", "sleep 1; exit 9"], linux());
    await daemon.stop("SIGKILL");
    await sleep(1_500);
    await daemon.start();
    expect((await stage.status(running)).state).toBe(STATE.RUNNING);
    expect((await stage.exited(ending)).exitCode).toBe(9);
    await daemon.ask("startContainer", { containerId: created });
    expect((await stage.exited(created)).exitCode).toBe(4);
    expect(stage.output(podName, "created")).toBe("started\n");
    const target = linux({}, { pid: NamespaceMode.TARGET, targetId: running });
    const helper = await stage.run(pod, "helper", BUSYBOX, SLEEP, target);
    expect((await stage.exec(helper, "cat", "/proc/1/cmdline")).out).toBe("sleep\u00004321\u0000");
    const { network } = await stage.podStatus(pod);
    expect((await stage.exec(running, "ping", "-c", "1", "-w", "3", network?.ip ?? "")).code).toBe(0);
    await daemon.ask("stopContainer", { containerId: running, timeout: 0n });
    expect((await stage.status(running)).exitCode).toBe(137);
  });
});
