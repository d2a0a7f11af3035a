import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { threadNamespaces } from "./host.ts";
import { loadNetnsKernel } from "./native.ts";

const kernel = loadNetnsKernel();
let root: string;
let directory: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-netns-"));
  directory = join(root, "run", "netns");
});
afterEach(async () => {
  for (const path of await kernel.listNetns(directory)) await kernel.removeNetns(path);
  expect(mountsBelow(root)).toEqual([]);
  rmSync(root, { recursive: true });
});

function mountsBelow(path: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${path}/`));
}

function inside(netns: string, ...command: string[]): string {
  return execFileSync("nsenter", [`--net=${netns}`, ...command], { encoding: "utf8" });
}

test("a namespace is pinned by one mount, with loopback up and nothing else in it", async () => {
  const path = join(directory, "one");
  await kernel.createNetns(path);
  expect(mountsBelow(root)).toHaveLength(1);
  expect(statSync(directory).mode & 0o777).toBe(0o755);
  const links = JSON.parse(inside(path, "ip", "-j", "addr")) as { ifname: string; flags: string[] }[];
  const loopback = links.find((link) => link.ifname === "lo");
  expect(loopback?.flags).toContain("UP");
  expect(links.filter((link) => link.flags.includes("UP"))).toHaveLength(1);
  inside(path, "busybox", "ping", "-c", "1", "-w", "2", "127.0.0.1");
  expect(await kernel.listNetns(directory)).toEqual([path]);
});

test("no thread of the daemon is left in a new namespace", async () => {
  const own = readlinkSync("/proc/self/ns/net");
  const paths = ["a", "b", "c", "d", "e", "f"].map((name) => join(directory, name));
  await Promise.all(paths.map((path) => kernel.createNetns(path)));
  // The answer comes from a thread that then ends: it may be on its way out.
  await expect.poll(() => new Set(threadNamespaces())).toEqual(new Set([own]));
  const inodes = paths.map((path) => statSync(path).ino);
  expect(new Set(inodes).size).toBe(paths.length);
});

test("what is there already is left alone", async () => {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, "taken");
  writeFileSync(path, "mine");
  await expect(kernel.createNetns(path)).rejects.toMatchObject({
    name: "KernelError",
    step: "create",
    errno: "EEXIST",
    path,
  });
  expect(readFileSync(path, "utf8")).toBe("mine");
  const link = join(directory, "link");
  symlinkSync(join(root, "elsewhere"), link);
  await expect(kernel.createNetns(link)).rejects.toMatchObject({ errno: "EEXIST" });
  expect(existsSync(join(root, "elsewhere"))).toBe(false);
});

test("a failure names the step and leaves nothing", async () => {
  writeFileSync(join(root, "run"), "");
  const path = join(directory, "x");
  await expect(kernel.createNetns(path)).rejects.toMatchObject({ errno: "ENOTDIR" });
  rmSync(join(root, "run"));
  expect(mountsBelow(root)).toEqual([]);
});

test("removal is idempotent and takes a file that was never mounted", async () => {
  const path = join(directory, "one");
  await kernel.createNetns(path);
  await kernel.removeNetns(path);
  expect(existsSync(path)).toBe(false);
  await kernel.removeNetns(path);
  writeFileSync(path, "");
  await kernel.removeNetns(path);
  expect(existsSync(path)).toBe(false);
});

test("the list holds pinned network namespaces only", async () => {
  expect(await kernel.listNetns(join(root, "missing"))).toEqual([]);
  mkdirSync(join(directory, "directory"), { recursive: true });
  writeFileSync(join(directory, "file"), "");
  symlinkSync("/proc/self/ns/net", join(directory, "link"));
  execFileSync("mkfifo", [join(directory, "fifo")]);
  await kernel.createNetns(join(directory, "one"));
  expect(await kernel.listNetns(directory)).toEqual([join(directory, "one")]);
});
