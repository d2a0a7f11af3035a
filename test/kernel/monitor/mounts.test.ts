// The root of a container and the file systems in it.

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { volume } from "../../unit/spec/fixture.ts";
import { type TestPod, usePods, writeTree } from "./pod.ts";

const startPod = usePods();

/** Mounts of the host but for those that other programs make in the usual places. */
function hostMounts(pod: TestPod): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.filter((line) => {
    const place = line.split(" ")[4] ?? "";
    return place.startsWith(pod.directory) || !/^\/(tmp|run|var|mnt)\//.test(place);
  });
}

async function textOf(pod: TestPod, args: readonly string[], options = {}): Promise<string> {
  return (await pod.run(args, options)).stdout.toString();
}

test("the mounts of a container", async () => {
  const pod = await startPod();
  const mounts = (await pod.report()).mounts as string[];
  const at = (place: string) => mounts.find((line) => line.startsWith(`${place} `));
  expect(at("/")).toMatch(/^\/ overlay rw,/);
  expect(at("/proc")).toBe("/proc proc rw,nosuid,nodev,noexec,relatime");
  expect(at("/dev")).toBe("/dev tmpfs rw,nosuid");
  expect(at("/dev/pts")).toBe("/dev/pts devpts rw,nosuid,noexec,relatime");
  expect(at("/dev/shm")).toBe("/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime");
  expect(at("/dev/mqueue")).toBe("/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime");
  expect(at("/sys")).toBe("/sys sysfs ro,nosuid,nodev,noexec,relatime");
  expect(at("/sys/fs/cgroup")).toBe("/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime");
  expect(at("/proc/keys")).toBeDefined();
  expect(at("/sys/firmware")).toMatch(/ tmpfs ro,/);
  expect(at("/proc/sys")).toMatch(/ proc ro,/);
});

test("masked and read-only paths", async () => {
  const pod = await startPod();
  expect(await textOf(pod, ["read", "/proc/keys"])).toBe("");
  expect(await textOf(pod, ["write", "/proc/sys/kernel/domainname", "x"])).toBe("write: EROFS\n");
  expect(await textOf(pod, ["write", "/sys/kernel/x", "x"])).toMatch(/^write: E(ROFS|ACCES)\n$/);
  pod.addLayer(2, (layer) => writeTree(layer, { "data/open": "open", "data/hidden": "hidden" }));
  const lowers = [1, 2].map(pod.paths.layerRelative);
  const security = { maskedPaths: ["/data/hidden", "/none"], readonlyPaths: ["/data", "/none/too"] };
  const options = { security, input: { lowers } };
  expect(await textOf(pod, ["read", "/data/hidden"], options)).toBe("");
  expect(await textOf(pod, ["read", "/data/open"], options)).toBe("open");
  expect(await textOf(pod, ["write", "/data/open"], options)).toBe("write: EROFS\n");
});

test("an image whose /proc, /sys or /dev is a link gets no container: it would go unmasked", async () => {
  const pod = await startPod();
  // /proc would be mounted on /elsewhere, and the link be broken once /dev covers it.
  pod.addLayer(2, (layer) => {
    for (const name of ["dev", "elsewhere"]) mkdirSync(join(layer, name));
    symlinkSync("/elsewhere", join(layer, "dev/link"));
    symlinkSync("/dev/link", join(layer, "proc"));
  });
  for (const [index, name] of ["sys", "dev"].entries()) {
    pod.addLayer(3 + index, (layer) => {
      mkdirSync(join(layer, "elsewhere"));
      symlinkSync("/elsewhere", join(layer, name));
    });
  }
  for (const layer of [2, 3, 4]) {
    // The uppermost layer first, as overlays have it.
    const lowers = [layer, 1].map(pod.paths.layerRelative);
    await expect(pod.prepare(["exit", "0"], { input: { lowers } })).rejects.toMatchObject({ errno: "ELOOP" });
  }
});

test("a link of the image leads no volume into /proc", async () => {
  const pod = await startPod();
  pod.addLayer(2, (layer) => symlinkSync("/proc/self/attr", join(layer, "data")));
  const input = { lowers: [2, 1].map(pod.paths.layerRelative) };
  const container = { mounts: [volume("/data", { hostPath: pod.shared })] };
  await expect(pod.prepare(["exit", "0"], { input, container })).rejects.toMatchObject({ errno: "EPERM" });
});

test("/dev/shm is the pod's, and message queues too", async () => {
  const pod = await startPod();
  expect(await textOf(pod, ["write", "/dev/shm/note", "from one"])).toBe("write: ok\n");
  expect(await textOf(pod, ["read", "/dev/shm/note"])).toBe("from one");
  const other = await startPod();
  expect(await textOf(other, ["read", "/dev/shm/note"])).toBe("read: ENOENT\n");
  expect(existsSync("/dev/shm/note")).toBe(false);
  expect(await textOf(pod, ["stat", "/dev/shm", "/dev/mqueue", "/dev/null", "/dev/ptmx"])).toBe(
    "/dev/shm 41777 0 0 60\n/dev/mqueue 41777 0 0 40\n/dev/null 20666 0 0 0\n/dev/ptmx 120777 0 0 8\n",
  );
});

test("a read-only root, with what belongs to the container still writable", async () => {
  const pod = await startPod();
  const options = { security: { readonlyRootfs: true } };
  expect(await textOf(pod, ["write", "/new"], options)).toBe("write: EROFS\n");
  expect(await textOf(pod, ["write", "/dev/shm/new"], options)).toBe("write: ok\n");
  expect((await pod.report(options)).root_writable).toBe(false);
});

test("what a container writes lands in its upper layer, and in no other", async () => {
  const pod = await startPod();
  const container = await pod.start(["write", "/tmp/new", "text"]);
  await pod.exitOf(container.id);
  expect(readFileSync(join(container.upper, "tmp/new"), "utf8")).toBe("text");
  expect(readdirSync(join(pod.paths.layer(1), "tmp"))).toEqual([]);
  expect(await textOf(pod, ["read", "/tmp/new"])).toBe("read: ENOENT\n");
});

test("the host's mount table knows nothing of running containers", async () => {
  const pod = await startPod();
  const before = hostMounts(pod);
  const container = await pod.start(["sleep"], { container: { tty: true } });
  expect(hostMounts(pod)).toEqual(before);
  expect(readdirSync(pod.paths.rootAttach)).toEqual([]);
  await pod.monitor.forget(container.id);
  expect(hostMounts(pod)).toEqual(before);
});

describe.each([
  ["new", false],
  ["legacy", true],
])("%s overlay", (_name, forceLegacyOverlay) => {
  test("merges its layers, the top one first, and is volatile", async () => {
    const pod = await startPod();
    pod.addLayer(2, (layer) => writeTree(layer, { "data/a": "two", "data/b": "two" }));
    pod.addLayer(3, (layer) => writeTree(layer, { "data/b": "three" }));
    const lowers = [3, 2, 1].map(pod.paths.layerRelative);
    const input = { lowers, forceLegacyOverlay };
    expect(await textOf(pod, ["read", "/data/a"], { input })).toBe("two");
    expect(await textOf(pod, ["read", "/data/b"], { input })).toBe("three");
    const mounts = await textOf(pod, ["mounts"], { input });
    const [root = ""] = mounts.split("\n").filter((line) => line.split(" ")[4] === "/");
    expect(root).toContain(" overlay ");
    expect(root).toMatch(/,(fsync=)?volatile(,|$)/);
  });

  test("takes 60 layers", async () => {
    const pod = await startPod();
    for (let number = 2; number <= 60; number++) {
      pod.addLayer(number, (layer) => writeTree(layer, { [`data/${number}`]: "x", "data/top": `${number}` }));
    }
    const lowers = Array.from({ length: 60 }, (_, index) => pod.paths.layerRelative(60 - index));
    const input = { lowers, forceLegacyOverlay };
    expect(await textOf(pod, ["read", "/data/top"], { input })).toBe("60");
    expect(await textOf(pod, ["read", "/data/2"], { input })).toBe("x");
  });
});

test("both overlays give a program the same view", async () => {
  const pod = await startPod();
  const views: string[][] = [];
  for (const forceLegacyOverlay of [false, true]) {
    views.push((await pod.report({ input: { forceLegacyOverlay } })).mounts as string[]);
  }
  expect(views[1]).toEqual(views[0]);
});

test("links in the image lead nowhere outside of the root", async () => {
  const pod = await startPod();
  const outside = join(pod.directory, "outside");
  mkdirSync(outside);
  pod.addLayer(2, (layer) => {
    symlinkSync(outside, join(layer, "work"));
    symlinkSync("../../../../../../../..", join(layer, "up"));
  });
  const input = { lowers: [2, 1].map(pod.paths.layerRelative) };
  // A link that points to nothing has its target made, beneath the root.
  const dangling = await pod.report({ container: { workingDir: "/work/inner" }, input });
  expect(dangling.working_directory).toBe(`${outside}/inner`);
  const report = await pod.report({ container: { workingDir: `/up${outside}/deep` }, input });
  expect(report.working_directory).toBe(`${outside}/deep`);
  expect(readdirSync(outside)).toEqual([]);
});
