// The BPF program that lets a cgroup open some devices and no others.

import { execFileSync, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { DeviceRule } from "../../../src/kernel/kernel.ts";
import { dropCgroup, freshCgroup, kernel } from "./fixture.ts";

const node = join(tmpdir(), `berth-device-${process.pid}`);
let cgroup: string;

beforeAll(async () => {
  expect((await kernel.hostFacts()).deviceFilter).toBe(true);
});
beforeEach(async () => {
  cgroup = await freshCgroup();
  await kernel.createCgroup(cgroup);
});
afterEach(() => dropCgroup(cgroup));
afterAll(() => rmSync(node, { force: true }));

/** Runs a script in the cgroup; true when it succeeded. */
function allowed(script: string, where = cgroup): boolean {
  const inside = `echo $$ > ${where}/cgroup.procs && { ${script}; }`;
  return spawnSync("sh", ["-c", inside], { stdio: "ignore" }).status === 0;
}

const rule = (major: number, minor: number | undefined, access: string): DeviceRule => {
  return { type: "c", major, minor, access };
};

test("only what a rule allows is opened", async () => {
  await kernel.attachDeviceFilter(cgroup, [rule(1, 3, "rwm"), rule(1, 5, "r")]);
  expect(allowed("true > /dev/null < /dev/null")).toBe(true);
  expect(allowed("true < /dev/zero")).toBe(true);
  expect(allowed("true > /dev/zero")).toBe(false);
  expect(allowed("true <> /dev/zero")).toBe(false);
  expect(allowed("true < /dev/urandom")).toBe(false);
});

test("a rule without a minor number is about all of them", async () => {
  await kernel.attachDeviceFilter(cgroup, [rule(1, undefined, "rw")]);
  expect(allowed("true < /dev/urandom > /dev/zero")).toBe(true);
  expect(allowed(`mknod ${node} c 1 3`)).toBe(false);
});

test("making a node is not opening it, and block devices are not character devices", async () => {
  await kernel.attachDeviceFilter(cgroup, [rule(1, 3, "rwm"), { type: "b", access: "m" }]);
  expect(allowed(`mknod ${node} b 1 3`)).toBe(true);
  expect(allowed(`true < ${node}`)).toBe(false);
  rmSync(node);
  expect(allowed(`mknod ${node} c 7 0`)).toBe(false);
});

test("without rules no device is opened, beneath the cgroup neither", async () => {
  await kernel.attachDeviceFilter(cgroup, []);
  const child = `${cgroup}/child`;
  await kernel.createCgroup(child);
  expect(allowed("true < /dev/null", child)).toBe(false);
  expect(execFileSync("sh", ["-c", "true < /dev/null && echo ok"], { encoding: "utf8" })).toBe("ok\n");
});

test("a rule for everything", async () => {
  await kernel.attachDeviceFilter(cgroup, [{ type: "a", access: "rwm" }]);
  expect(allowed("true < /dev/urandom > /dev/zero")).toBe(true);
});

test("a cgroup that is not there, and a path that is none", async () => {
  await expect(kernel.attachDeviceFilter(`${cgroup}-none`, [])).rejects.toMatchObject({ errno: "ENOENT" });
  await expect(kernel.attachDeviceFilter("/tmp", [])).rejects.toMatchObject({ errno: "EINVAL" });
});
