// Parts of the host that engines share: cgroup hierarchies, address ranges, bridges.

import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runProgram } from "../run/cleanup.ts";

const KILL_TIMEOUT_MS = 5_000;

/** Mount points of all cgroup hierarchies, v1 and v2. */
function cgroupMounts(): string[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const fields = lines.map((line) => line.split(" "));
  return fields.filter(([, , type]) => type === "cgroup" || type === "cgroup2").map(([, path]) => path ?? "");
}

function foldersBelow(path: string): string[] {
  const folders = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...folders.flatMap((entry) => foldersBelow(join(path, entry.name))), path];
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Kills what is left in the cgroup `parent` ("/bench") of every hierarchy, and removes it. */
export async function removeCgroups(parent: string): Promise<void> {
  const deadline = Date.now() + KILL_TIMEOUT_MS;
  for (const mount of cgroupMounts()) {
    const root = join(mount, parent);
    if (!existsSync(root)) continue;
    for (;;) {
      const folders = foldersBelow(root);
      const pids = folders.flatMap((folder) =>
        readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n"),
      );
      const alive = pids.filter((pid) => pid !== "" && pid !== "0");
      if (alive.length === 0) {
        for (const folder of folders) rmdirSync(folder);
        break;
      }
      if (Date.now() > deadline) throw new Error(`cgroup "${root}" does not get empty: ${alive.join(" ")}`);
      for (const pid of alive) kill(Number(pid));
      await sleep(10);
    }
  }
}

/** The first `count` networks 10.214.X.0/24 that no route of the host overlaps. */
export function freeSubnets(count: number): string[] {
  const rows = readFileSync("/proc/net/route", "utf8").trim().split("\n").slice(1);
  const little = (text = "0") => Buffer.from(text, "hex").readUInt32LE(0);
  const routes = rows.map((row) => row.split("\t")).map((row) => [little(row[1]), little(row[7])] as const);
  const free: string[] = [];
  for (let third = 0; third < 256 && free.length < count; third++) {
    const address = ((10 << 24) | (214 << 16) | (third << 8)) >>> 0;
    // A default route (mask 0) covers everything and conflicts with nothing.
    const taken = routes.some(([net, mask]) => mask !== 0 && (address & mask) >>> 0 === net);
    if (!taken) free.push(`10.214.${third}.0/24`);
  }
  if (free.length < count) throw new Error("every network below 10.214.0.0/16 is in use on this host");
  return free;
}

export async function removeBridge(name: string): Promise<void> {
  if (existsSync(`/sys/class/net/${name}`)) await runProgram("ip", ["link", "delete", name]);
}
