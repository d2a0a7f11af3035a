// What the kernel counts of cgroups and network namespaces.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeSample } from "../../../src/cgroups/decode-sample.ts";
import type { StatsDepth } from "../../../src/kernel/kernel.ts";
import { parseNetworkDevices } from "../../../src/network/interface-counters.ts";
import { dropCgroup, freshCgroup, kernel, sleeper } from "./fixture.ts";

let cgroup: string;
beforeEach(async () => {
  cgroup = await freshCgroup();
});
afterEach(() => dropCgroup(cgroup));

async function look(depth: StatsDepth, path = cgroup) {
  return decodeSample(await kernel.readStats([{ path, depth }]), 0);
}

/** A process in the cgroup, or in one beneath it. */
async function member(path = cgroup): Promise<number> {
  const { pid } = await sleeper();
  writeFileSync(join(path, "cgroup.procs"), String(pid));
  return pid;
}

test("CPU time and pressure are there without any controller", async () => {
  await kernel.createCgroup(cgroup);
  const before = await look(0);
  expect(before?.cpu.usageMicros).toBe(0);
  const busy = spawn("sh", ["-c", "read go; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  await once(busy, "spawn");
  writeFileSync(join(cgroup, "cgroup.procs"), String(busy.pid));
  busy.stdin?.end("\n");
  await once(busy, "exit");
  const after = await look(0);
  expect(after?.cpu.usageMicros).toBeGreaterThan(1_000);
  expect((after?.cpu.userMicros ?? 0) + (after?.cpu.systemMicros ?? 0)).toBeLessThanOrEqual(
    (after?.cpu.usageMicros ?? 0) + 2,
  );
  expect(after?.at).toBeGreaterThan(before?.at ?? 0);
  expect(after?.processes).toBeNull();
});

test("processes are counted down to the deepest cgroup, with threads, memory and descriptors", async () => {
  await kernel.createCgroup(cgroup);
  const pids = [await member()];
  const nested = join(cgroup, "x-1");
  mkdirSync(nested);
  pids.push(await member(nested));
  const seen = (await look(1))?.processes;
  expect(seen).toMatchObject({ processes: 2, threads: 2, descriptors: null });
  expect(seen?.residentBytes).toBeGreaterThan(100_000);
  const deep = (await look(2))?.processes;
  const descriptors = pids.flatMap((pid) => readdirSync(`/proc/${pid}/fd`)).length;
  expect(deep).toMatchObject({ processes: 2, descriptors, sockets: 0 });
  expect(deep?.softNofile).toBeGreaterThan(0);
});

test("sockets are told from other descriptors", async () => {
  await kernel.createCgroup(cgroup);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const script = 'require("node:net").createServer().listen(0, "127.0.0.1", () => console.log("up"))';
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    await once(child.stdout, "data");
    writeFileSync(join(cgroup, "cgroup.procs"), String(child.pid));
    const deep = (await look(2))?.processes;
    expect(deep?.sockets).toBeGreaterThanOrEqual(1);
    expect(deep?.descriptors).toBeGreaterThan(deep?.sockets ?? 0);
  } finally {
    child.kill("SIGKILL");
    server.close();
    await once(child, "exit");
  }
});

test("a cgroup that is missing, and paths that are none of ours", async () => {
  expect(await look(2)).toBeNull();
  const directory = mkdtempSync(join(tmpdir(), "berth-stats-"));
  await expect(look(0, directory)).rejects.toMatchObject({ errno: "EINVAL" });
  await expect(look(0, `${cgroup}/../..`)).rejects.toMatchObject({ errno: "EINVAL" });
  rmSync(directory, { recursive: true });
});

test("one look at many cgroups keeps their order", async () => {
  await kernel.createCgroup(cgroup);
  const paths = Array.from({ length: 50 }, (_, i) => join(cgroup, `c${i}`));
  for (const path of paths.filter((_, i) => i % 2 === 0)) mkdirSync(path);
  const reading = await kernel.readStats(paths.map((path) => ({ path, depth: 2 as const })));
  expect(paths.map((_, i) => decodeSample(reading, i) !== null)).toEqual(paths.map((_, i) => i % 2 === 0));
});

test("interfaces of a process's network namespace, and of no later process with its number", async () => {
  const child = spawn("unshare", ["--net", "sleep", "1000"], { stdio: "ignore" });
  try {
    await once(child, "spawn");
    const pid = child.pid as number;
    const startTime = kernel.processStartTime(pid) as number;
    const ask = async (time: number) =>
      (await kernel.readNetworkDevices([{ pid, startTime: time }]))[0] ?? "";
    await expect.poll(async () => parseNetworkDevices(await ask(startTime))).toEqual([]);
    expect(await ask(startTime)).toContain("lo:");
    expect(await ask(startTime + 1)).toBe("");
    const own = { pid: process.pid, startTime: kernel.processStartTime(process.pid) as number };
    const both = await kernel.readNetworkDevices([own, { pid: 2 ** 22 + 1, startTime: 1 }]);
    expect(both[0]).toContain("lo:");
    expect(both[1]).toBe("");
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});
