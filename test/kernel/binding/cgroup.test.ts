// Cgroups of the real hierarchy: made, killed and removed with processes inside.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dropCgroup, freshCgroup, kernel, sleeper } from "./fixture.ts";

let root: string;

beforeEach(async () => {
  root = await freshCgroup();
});

afterEach(() => dropCgroup(root));

test("finds the cgroup2 mount", async () => {
  const mount = await kernel.cgroupMount();
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  expect(lines.find((line) => line.includes(" - cgroup2 "))?.split(" ")[4]).toBe(mount);
});

test("makes a whole path, and again", async () => {
  await kernel.createCgroup(join(root, "pod/c-1"));
  await kernel.createCgroup(join(root, "pod/c-1"));
  expect(existsSync(join(root, "pod/c-1/cgroup.procs"))).toBe(true);
});

test("passes on what containers need above the leaf, and nothing else", async () => {
  const mount = await kernel.cgroupMount();
  const words = (path: string, file: string) =>
    readFileSync(join(path, file), "utf8")
      .split(/\s+/)
      .filter((name) => name !== "");
  const before = words(mount, "cgroup.subtree_control");
  const needed = ["cpu", "memory", "pids", "io", "cpuset"];
  await kernel.createCgroup(join(root, "c-1"));
  for (const name of words(mount, "cgroup.subtree_control")) {
    if (!needed.includes(name)) expect(before).toContain(name);
  }
  expect(needed).toEqual(expect.arrayContaining(words(root, "cgroup.subtree_control")));
  expect(words(join(root, "c-1"), "cgroup.subtree_control")).toEqual([]);
});

test("reads and writes interface files", async () => {
  await kernel.createCgroup(root);
  await kernel.writeCgroup(root, "cgroup.max.depth", "3");
  expect(await kernel.readCgroup(root, "cgroup.max.depth")).toBe("3\n");
  expect(await kernel.readCgroup(root, "no.such.file")).toBeNull();
  expect(await kernel.readCgroup(join(root, "none"), "cgroup.events")).toBeNull();
  await expect(kernel.writeCgroup(root, "cgroup.max.depth", "deep")).rejects.toMatchObject({
    name: "KernelError",
    step: "write",
    errno: "EINVAL",
    path: join(root, "cgroup.max.depth"),
  });
});

test("kills what is inside, at any depth, and removes everything", async () => {
  const deep = join(root, "pod/c-1/x-1/y/z");
  await kernel.createCgroup(deep);
  const first = await sleeper();
  const second = await sleeper();
  await kernel.writeCgroup(deep, "cgroup.procs", String(first.pid));
  // A cgroup that passes controllers on holds no processes of its own: beside the other, not above it.
  await kernel.createCgroup(join(root, "pod/monitor"));
  await kernel.writeCgroup(join(root, "pod/monitor"), "cgroup.procs", String(second.pid));
  expect(await kernel.readCgroup(root, "cgroup.events")).toContain("populated 1");

  expect(await kernel.killCgroup(root, 10_000)).toBe(true);
  expect(await first.ended).toEqual([null, "SIGKILL"]);
  expect(await second.ended).toEqual([null, "SIGKILL"]);
  expect(await kernel.readCgroup(root, "cgroup.events")).toContain("populated 0");
  expect(await kernel.destroyCgroup(root, 10_000)).toBe(true);
  expect(existsSync(root)).toBe(false);
});

test("removes many children", async () => {
  for (let i = 0; i < 40; i++) mkdirSync(join(root, `c-${i}/x-0`), { recursive: true });
  expect(await kernel.destroyCgroup(root, 0)).toBe(true);
  expect(existsSync(root)).toBe(false);
});

test("removals at the same time are fine", async () => {
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 20; i++) mkdirSync(join(root, `c-${i}/x-0`), { recursive: true });
    const removals = Array.from({ length: 4 }, () => kernel.destroyCgroup(root, 0));
    expect(await Promise.all(removals)).toEqual([true, true, true, true]);
    expect(existsSync(root)).toBe(false);
  }
});

test("a missing cgroup is dead and removed already", async () => {
  expect(await kernel.killCgroup(root, 0)).toBe(true);
  expect(await kernel.killCgroup(join(root, "c-1"), 0)).toBe(true);
  expect(await kernel.destroyCgroup(root, 0)).toBe(true);
  expect(await kernel.destroyCgroup(join(root, "c-1"), 0)).toBe(true);
});

test("refuses to leave the hierarchy", async () => {
  const mount = await kernel.cgroupMount();
  const outside = ["/tmp/berth-x", `${mount}-x/y`, `${mount}/../berth-x`, `${root}/../x`, "berth-x", ""];
  for (const path of outside) {
    await expect(kernel.createCgroup(path), path).rejects.toMatchObject({ errno: "EINVAL" });
    await expect(kernel.killCgroup(path, 0), path).rejects.toMatchObject({ errno: "EINVAL" });
    await expect(kernel.destroyCgroup(path, 0), path).rejects.toMatchObject({ errno: "EINVAL" });
    await expect(kernel.readCgroup(path, "cgroup.procs"), path).rejects.toMatchObject({ errno: "EINVAL" });
  }
  await kernel.createCgroup(root);
  for (const file of ["../cgroup.procs", "a/b", "..", ""]) {
    await expect(kernel.writeCgroup(root, file, "1"), file).rejects.toMatchObject({ errno: "EINVAL" });
  }
});

test("never kills or removes the hierarchy itself", async () => {
  const mount = await kernel.cgroupMount();
  for (const path of [mount, `${mount}/`, `${mount}/.`]) {
    await expect(kernel.killCgroup(path, 0)).rejects.toMatchObject({ errno: "EINVAL" });
    await expect(kernel.destroyCgroup(path, 0)).rejects.toMatchObject({ errno: "EINVAL" });
  }
});

test("the OOM score of every process of a cgroup is set, and of no other", async () => {
  const path = await freshCgroup();
  await kernel.createCgroup(join(path, "x"));
  const score = (pid: number) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
  const [inside, beneath, outside] = [await sleeper(), await sleeper(), await sleeper()];
  const start = score(outside.pid);
  try {
    writeFileSync(join(path, "cgroup.procs"), String(inside.pid));
    writeFileSync(join(path, "x", "cgroup.procs"), String(beneath.pid));
    await kernel.setOomScore(path, 700, false);
    expect([inside, beneath, outside].map(({ pid }) => score(pid))).toEqual([700, 700, start]);
    await kernel.setOomScore(path, start, true);
    await expect(kernel.setOomScore(`${path}-none`, 1, false)).rejects.toMatchObject({ errno: "ENOENT" });
  } finally {
    await dropCgroup(path);
  }
});
