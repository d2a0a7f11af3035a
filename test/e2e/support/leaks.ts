// What a daemon under test has in the kernel, in the network and on disk, as one comparable list.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { natRules, pinnedNamespaces, type Scratch } from "./scratch.ts";

const SETTLE_MS = 15_000;

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Processes end while they are looked at.
    return "";
  }
}

function stateAndParent(pid: string): { state: string; parent: string } {
  const [state = "", parent = ""] = readOrEmpty(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");
  return { state, parent };
}

/**
 * Everything that runs in our cgroups, or carries our directory in its command line, except the daemon and
 * its children: plugins come and go. What is dead and only waits for the host's init counts no more.
 */
export function processesOf(scratch: Scratch, except: readonly number[] = []): string[] {
  const cgroup = scratch.cgroup.slice(scratch.cgroup.lastIndexOf("/berth-e2e-"));
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && !except.includes(Number(name)))
    .filter((pid) => {
      const { state, parent } = stateAndParent(pid);
      return !(state === "Z" && parent === "1") && !except.includes(Number(parent));
    })
    .filter((pid) => {
      const groups = readOrEmpty(`/proc/${pid}/cgroup`);
      return groups.includes(cgroup) || readOrEmpty(`/proc/${pid}/cmdline`).includes(scratch.state);
    })
    .map((pid) => `${pid} ${readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim()}`);
}

/** The monitors of all pods. */
export function monitorPids(scratch: Scratch): number[] {
  return processesOf(scratch)
    .filter((line) => line.includes("berth-monitor"))
    .map((line) => Number.parseInt(line, 10));
}

function cgroupsBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [join(path, entry.name), ...cgroupsBelow(join(path, entry.name))]);
}

/** Lines of /proc/self/mountinfo: the host's mounts that have to do with the daemon of `scratch`. */
export function mountLinesOf({ folder, netnsPrefix }: Scratch): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
  return lines.filter((line) => line.includes(folder) || line.includes(netnsPrefix));
}

/** Where they are. */
export function mountsOf(scratch: Scratch): string[] {
  return mountLinesOf(scratch).map((line) => line.split(" ")[4] ?? "");
}

/** One line per thing. Images and their layers count too. */
export function inventory(scratch: Scratch, daemonPid: number): string[] {
  const { root, state } = scratch;
  const groups: [string, string[]][] = [
    ["process", processesOf(scratch, [daemonPid])],
    ["mount", mountsOf(scratch)],
    ["cgroup", cgroupsBelow(scratch.cgroup)],
    ["netns", pinnedNamespaces(scratch)],
    ["veth", namesIn(`/sys/class/net/${scratch.bridge}/brif`)],
    ["lease", namesIn(scratch.leases).filter((name) => /^[0-9a-f]+[.:]/.test(name))],
    ["nat rule", natRules(scratch)],
    ["pod directory", namesIn(join(state, "pods"))],
    ["monitor socket", namesIn(join(state, "m"))],
    ["root attached", namesIn(join(state, "rootfs"))],
    ["snapshot", namesIn(join(root, "s/c"))],
    ["layer", namesIn(join(root, "s/l"))],
    ["staging", namesIn(join(root, "s/staging"))],
    ["logs", namesIn(join(root, "logs"))],
  ];
  return groups.flatMap(([kind, names]) => names.map((name) => `${kind} ${name}`));
}

/** Waits until what is there is what was there, and returns what is too much or too little. */
export async function leaksSince(
  before: readonly string[],
  now: () => string[],
  settleMs = SETTLE_MS,
): Promise<string[]> {
  const deadline = Date.now() + settleMs;
  for (;;) {
    const current = now();
    const more = current.filter((line) => !before.includes(line)).map((line) => `+ ${line}`);
    const less = before.filter((line) => !current.includes(line)).map((line) => `- ${line}`);
    if (more.length + less.length === 0 || Date.now() > deadline) return [...more, ...less];
    await sleep(50);
  }
}
