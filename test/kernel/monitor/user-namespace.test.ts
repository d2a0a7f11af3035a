// Pods with a user namespace of their own: what their containers are, own and may, seen from inside and from
// the host.

import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ContainerMount } from "../../../src/types/container.ts";
import { type NamespaceOptions, NO_RESOURCES } from "../../../src/types/pod.ts";
import { MAPPED, MAPPING, volume } from "../../unit/spec/fixture.ts";
import {
  collect,
  type PodOptions,
  parseReport,
  probe,
  type RunOptions,
  type TestPod,
  usePods,
} from "./pod.ts";

const startPod = usePods();
const AS_POD = { uidMappings: MAPPING.uids, gidMappings: MAPPING.gids };
const ALL = { addCapabilities: ["ALL"] };

function mapped(options: Partial<NamespaceOptions> = {}, more: PodOptions = {}): PodOptions {
  return { ...more, security: { ...more.security, namespaces: { ...MAPPED, ...options } } };
}

async function textOf(pod: TestPod, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr } = await pod.run(args, options);
  return `${stdout}${stderr}`;
}

function withMounts(...mounts: ContainerMount[]): RunOptions {
  return { container: { mounts } };
}

/** The user namespace that the process's namespaces of this kind are in, told by who may use it. */
function namespaceOf(pid: number, kind: string): string {
  return readlinkSync(`/proc/${pid}/ns/${kind}`);
}

describe("identity", () => {
  test.each(["CONTAINER", "POD", "NODE"] as const)("root of its own, with pid mode %s", async (pid) => {
    const pod = await startPod(mapped({ pid }));
    const report = await pod.report();
    expect(report.uid).toBe(0);
    expect(report.gid).toBe(0);
    expect(report.groups).toEqual(["0"]);
    expect(report.uid_map).toEqual(["         0     100000      65536"]);
    expect(report.gid_map).toEqual(["         0     200000      65536"]);
    expect(report.pid1).toBe(pid === "CONTAINER");
    expect(report.umask).toBe("0022");
  });

  test("the host sees other ids, from the start of the process on", async () => {
    const pod = await startPod(mapped());
    const { process } = await pod.start(["sleep"], {
      input: { user: { uid: 1000, gid: 1001, groups: [1001, 7], home: "/" } },
    });
    const status = readFileSync(`/proc/${process.pid}/status`, "utf8");
    expect(status).toMatch(/^Uid:\t101000\t101000\t101000\t101000$/m);
    expect(status).toMatch(/^Gid:\t201001\t201001\t201001\t201001$/m);
    expect(status).toMatch(/^Groups:\t200007 201001 $/m);
    expect(namespaceOf(process.pid, "user")).not.toBe(namespaceOf(pod.process.pid, "user"));
    expect(namespaceOf(pod.process.pid, "user")).toBe(readlinkSync("/proc/self/ns/user"));
  });

  test("capabilities, limits, OOM score and the terminal are as elsewhere", async () => {
    const pod = await startPod(mapped());
    const options = { container: { resources: { ...NO_RESOURCES, oomScoreAdj: 321 } } };
    const report = await pod.report(options);
    const plain = await (await startPod()).report(options);
    for (const key of ["oom_score_adj", "limits", "capabilities", "no_new_privs", "devices", "hostname"]) {
      expect(report[key]).toEqual(plain[key]);
    }
    expect(report.session_keyring).not.toBe("-1");
  });

  test("no descriptor of the monitor stays open", async () => {
    const pod = await startPod(mapped({ pid: "POD" }));
    const report = await pod.report();
    expect((report.descriptors as string[]).map((line) => line.split(" ")[0])).toEqual(["0", "1", "2"]);
  });
});

describe("what the namespace owns", () => {
  test("network, IPC, UTS, PID and cgroups: all of it can be changed with capabilities", async () => {
    const pod = await startPod(mapped({ pid: "POD" }, { security: { privileged: true } }));
    const options = { security: { ...ALL, privileged: true } };
    const write = (path: string, text: string) => textOf(pod, ["write", path, text], options);
    expect(await write("/proc/sys/net/ipv4/ip_forward", "1")).toBe("write: ok\n");
    expect(await write("/proc/sys/kernel/shmmni", "100")).toBe("write: ok\n");
    expect(await write("/proc/sys/fs/mqueue/msg_max", "50")).toBe("write: ok\n");
    expect(await write("/sys/fs/cgroup/cgroup.subtree_control", "")).toBe("write: ok\n");
    expect(await textOf(pod, ["stat", "/dev/mqueue", "/dev/shm", "/dev", "/dev/null"], options)).toBe(
      "/dev/mqueue 41777 0 0 40\n/dev/shm 41777 0 0 40\n/dev 40755 0 0 340\n/dev/null 20666 0 0 0\n",
    );
    expect(
      await textOf(pod, ["try-syscall", "unshare-mount", "socket-raw", "sethostname", "mknod"], options),
    ).toMatch(/unshare-mount: ok\nsocket-raw: ok\nsethostname: EINVAL\nmknod: EPERM/);
  });

  test("what is the host's cannot", async () => {
    const pod = await startPod(mapped({}, { security: { privileged: true } }));
    const options = { security: { ...ALL, privileged: true } };
    for (const key of ["kernel/core_pattern", "vm/swappiness", "kernel/hostname"]) {
      expect(await textOf(pod, ["write", `/proc/sys/${key}`, "1"], options)).toBe("write: EACCES\n");
    }
    const calls = ["swapon", "syslog", "acct"];
    const outcome = await textOf(pod, ["try-syscall", ...calls], options);
    for (const call of calls) expect(outcome).toContain(`${call}: EPERM\n`);
  });

  test("sysctls of the pod are set", async () => {
    const sysctls = { "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "77" };
    const pod = await startPod(mapped({}, { config: { sysctls } }));
    const read = (path: string) => textOf(pod, ["read", `/proc/sys/${path}`]);
    expect(await read("net/ipv4/ip_forward")).toBe("1\n");
    expect(await read("kernel/shm_rmid_forced")).toBe("1\n");
    expect(await read("fs/mqueue/msg_max")).toBe("77\n");
    expect(await read("net/ipv4/ping_group_range")).toBe("0\t65535\n");
  });

  test("with the host's network", async () => {
    const pod = await startPod(mapped({ network: "NODE" }));
    const report = await pod.report({ security: ALL });
    expect(report.namespace_net).toBe(/\d+/.exec(readlinkSync("/proc/self/ns/net"))?.[0]);
    expect(report.uid_map).toEqual(["         0     100000      65536"]);
    expect(await textOf(pod, ["try-syscall", "socket-raw"], { security: ALL })).toContain(
      "socket-raw: EPERM",
    );
    expect(report.mounts).toContainEqual(expect.stringMatching(/^\/sys sysfs ro/));
  });
});

describe("the root file system", () => {
  test("files of the image and new ones belong to root; on disk they are root's too", async () => {
    const pod = await startPod(mapped());
    pod.addLayer(2, (layer) => {
      mkdirSync(join(layer, "home/user"), { recursive: true });
      chownSync(join(layer, "home/user"), 1000, 1001);
    });
    const options = { input: { lowers: [2, 1].map(pod.paths.layerRelative) } };
    const stats = await textOf(pod, ["stat", "/", "/bin/probe", "/home/user"], options);
    expect(stats.split("\n").map((line) => line.split(" ").slice(2, 4).join(":"))).toEqual([
      "0:0",
      "0:0",
      "1000:1001",
      "",
    ]);
    const container = await pod.start(["write", "/new", "text"], options);
    await pod.exitOf(container.id);
    const made = statSync(join(container.upper, "new"));
    expect([made.uid, made.gid]).toEqual([0, 0]);
  });

  test("a file of the image is changed by a copy, with its owner", async () => {
    const pod = await startPod(mapped());
    pod.addLayer(2, (layer) => {
      mkdirSync(join(layer, "etc"));
      copyFileSync("/etc/hostname", join(layer, "etc/file"));
      chownSync(join(layer, "etc/file"), 1000, 1001);
    });
    const container = await pod.start(["write", "/etc/file", "changed"], {
      input: { lowers: [2, 1].map(pod.paths.layerRelative) },
    });
    await pod.exitOf(container.id);
    const copy = statSync(join(container.upper, "etc/file"));
    expect([copy.uid, copy.gid]).toEqual([1000, 1001]);
    expect(readFileSync(join(container.upper, "etc/file"), "utf8")).toContain("changed");
  });

  test("a set-user-ID program becomes root of the container and no other", async () => {
    const pod = await startPod(mapped());
    pod.addLayer(2, (layer) => {
      mkdirSync(join(layer, "bin"));
      copyFileSync(probe, join(layer, "bin/setuid"));
      chmodSync(join(layer, "bin/setuid"), 0o4755);
    });
    const options = {
      input: {
        lowers: [2, 1].map(pod.paths.layerRelative),
        user: { uid: 1000, gid: 1000, groups: [1000], home: "/" },
      },
    };
    const command = (name: string) => ({
      ...options,
      container: { command: [`/bin/${name}`, "effective-uid"] },
    });
    expect(await textOf(pod, [], command("setuid"))).toBe("Effective uid: 0\n");
    expect(await textOf(pod, [], command("probe"))).toBe("Effective uid: 1000\n");
  });

  test("with mount(2), as on older kernels", async () => {
    const pod = await startPod(mapped());
    expect(await textOf(pod, ["write", "/new"], { input: { forceLegacyOverlay: true } })).toBe("write: ok\n");
  });

  test("read-only, and no capability of the container undoes it", async () => {
    const pod = await startPod(mapped());
    const options = { security: { ...ALL, readonlyRootfs: true } };
    expect(await textOf(pod, ["write", "/new"], options)).toBe("write: EROFS\n");
    expect(await textOf(pod, ["remount", "/", "rw"], options)).toBe("remount: EPERM\n");
  });
});

describe("mounts", () => {
  test("masks, read-only paths, nodev: what is forbidden is locked", async () => {
    const pod = await startPod(mapped());
    const data = join(pod.directory, "data");
    mkdirSync(data);
    const options = {
      security: ALL,
      container: { mounts: [volume("/ro", { hostPath: data, readonly: true })] },
    };
    const attempt = (...args: string[]) => textOf(pod, args, options);
    expect(await attempt("unmount", "/proc/interrupts")).toBe("unmount: EINVAL\n");
    expect(await attempt("unmount", "/proc/sys")).toBe("unmount: EINVAL\n");
    expect(await attempt("remount", "/ro", "rw")).toBe("remount: EPERM\n");
    expect(await attempt("remount", "/", "dev")).toBe("remount: EPERM\n");
    expect(await attempt("remount", "/ro", "ro")).toBe("remount: ok\n");
  });

  test("what is masked is not mounted again; a privileged container has nothing masked", async () => {
    const pod = await startPod(mapped({}, { security: { privileged: true } }));
    const mount = (type: string, security: RunOptions["security"]) =>
      textOf(pod, ["mount", type, "/tmp"], { security: { ...ALL, ...security } });
    for (const type of ["proc", "sysfs"]) {
      expect(await mount(type, {})).toBe("mount: EPERM\n");
      expect(await mount(type, { privileged: true })).toBe("mount: ok\n");
    }
    expect(await mount("tmpfs", {})).toBe("mount: ok\n");
    expect(await mount("ext4", { privileged: true })).toMatch(/^mount: (EPERM|ENOTBLK|EINVAL|ENOENT)\n/);
  });

  test("the same in the host's user namespace is not locked: the check checks something", async () => {
    const pod = await startPod();
    expect(await textOf(pod, ["unmount", "/proc/sys"], { security: ALL })).toBe("unmount: ok\n");
  });
});

describe("volumes", () => {
  test("with the pod's mapping root of the container is root on the disk", async () => {
    const pod = await startPod(mapped());
    chownSync(pod.shared, 1000, 1001);
    const options = withMounts(volume("/data", { hostPath: pod.shared, ...AS_POD }));
    expect(await textOf(pod, ["stat", "/data"], options)).toMatch(/^\/data 40755 1000 1001 /);
    expect(await textOf(pod, ["write", "/data/file"], options)).toBe("write: ok\n");
    const made = statSync(join(pod.shared, "file"));
    expect([made.uid, made.gid]).toEqual([0, 0]);
  });

  test("without one it is nobody's", async () => {
    const pod = await startPod(mapped());
    const options = withMounts(volume("/data", { hostPath: pod.shared }));
    expect(await textOf(pod, ["stat", "/data"], options)).toMatch(/^\/data 40755 65534 65534 /);
    expect(await textOf(pod, ["write", "/data/file"], options)).toBe("write: EACCES\n");
  });

  test("a mapping of its own, also without a user namespace", async () => {
    const pod = await startPod();
    const map = [{ containerId: 0, hostId: 5000, length: 10 }];
    const options = withMounts(volume("/data", { hostPath: pod.shared, uidMappings: map, gidMappings: map }));
    expect(await textOf(pod, ["stat", "/data"], options)).toMatch(/^\/data 40755 5000 5000 /);
  });

  test("a file system that cannot map ids is named", async () => {
    const pod = await startPod(mapped());
    const options = withMounts(volume("/data", { hostPath: "/proc/tty", ...AS_POD }));
    await expect(pod.prepare(["sleep"], options)).rejects.toMatchObject({
      errno: "EINVAL",
      path: "fs:0x9fa0",
    });
  });
});

describe("processes that come later", () => {
  test("an exec has the container's user namespace, identity and files", async () => {
    const pod = await startPod(mapped({ pid: "POD" }));
    const container = await pod.start(["sleep"]);
    const report = parseReport(await pod.execAll(container, ["report", "--json"]));
    expect(report.uid).toBe(0);
    expect(report.uid_map).toEqual(["         0     100000      65536"]);
    expect(report.namespace_user).toBe(/\d+/.exec(namespaceOf(container.process.pid, "user"))?.[0]);
    expect(report.namespace_mnt).toBe(/\d+/.exec(namespaceOf(container.process.pid, "mnt"))?.[0]);
    expect((report.descriptors as string[]).map((line) => line.split(" ")[0])).toEqual(["0", "1", "2"]);
  });

  test("its output can be opened again by a user without rights", async () => {
    const pod = await startPod(mapped());
    const user = { uid: 1000, gid: 1000, groups: [1000], home: "/" };
    expect(await textOf(pod, ["write", "/dev/stdout", "hello"], { input: { user } })).toBe(
      "hellowrite: ok\n",
    );
    const container = await pod.start(["sleep"], { input: { user } });
    const { stdout } = await pod.execAll(container, ["write", "/dev/stdout", "hello"]);
    expect(stdout.toString()).toBe("hellowrite: ok\n");
  });

  test.each([0, 1000])("a terminal is that of user %i", async (uid) => {
    const pod = await startPod(mapped());
    const user = { uid, gid: uid, groups: [uid], home: "/" };
    const options = { container: { tty: true }, input: { user }, request: { tty: true } };
    expect(await textOf(pod, ["stat", "/dev/pts/0", "/dev/console"], options)).toMatch(
      new RegExp(`pts/0 20620 ${uid} 5 .*\\r\\n/dev/console 20620 ${uid} 5 `),
    );
    const container = await pod.start(["sleep"], { input: { user } });
    const { stdout } = await collect(pod.exec(container, ["stat", "/dev/pts/0"], { tty: true }));
    expect(stdout.toString()).toMatch(new RegExp(`pts/0 20620 ${uid} 5 `));
  });

  test("one container in the PID namespace of another", async () => {
    const pod = await startPod(mapped());
    const target = await pod.start(["sleep"]);
    const namespaces = { ...MAPPED, pid: "TARGET", targetId: target.id } as const;
    const report = await pod.report({ security: { namespaces }, request: { pidTarget: target.id } });
    expect(report.namespace_pid).toBe(/\d+/.exec(namespaceOf(target.process.pid, "pid"))?.[0]);
    expect(report.pid1).toBe(false);
  });
});

describe("failures", () => {
  test("a step of each process is told by its number", async () => {
    const pod = await startPod(mapped());
    const missing = withMounts(volume("/data", { hostPath: join(pod.directory, "missing") }));
    await expect(pod.prepare(["sleep"], missing)).rejects.toMatchObject({ errno: "ENOENT" });
    const container = await pod.prepare([], { container: { command: ["/no/such"] } });
    await expect(pod.monitor.start(container.id)).rejects.toMatchObject({ errno: "ENOENT" });
    const report = await pod.report();
    expect(report.uid).toBe(0);
  });
});
