// What the host's /proc and cgroups tell of processes.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface ProcessLine {
  readonly pid: number;
  readonly name: string;
  readonly state: string;
  readonly parent: number;
  /** It has left its cgroup, or is about to, and never runs its program again. */
  readonly isExiting: boolean;
}

/** linux/sched.h */
const PF_EXITING = 4;

function readStat(pid: number): ProcessLine | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return null;
  }
  const [state = "", parent = "", , , , , flags = ""] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
  return { pid, name, state, parent: Number(parent), isExiting: (Number(flags) & PF_EXITING) !== 0 };
}

/** Children, zombies among them. */
export function childrenOf(parent: number): ProcessLine[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((line) => line !== null)
    .filter((line) => line.parent === parent);
}

/** False for zombies and for what is on its way there, too. */
export function isAlive(pid: number): boolean {
  const line = readStat(pid);
  return line !== null && line.state !== "Z" && line.state !== "X" && !line.isExiting;
}

/** Live processes of a cgroup and of those below it; none when it is gone. */
export function processesOf(cgroup: string): number[] {
  try {
    const own = readFileSync(join(cgroup, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
    return own.concat(childCgroups(cgroup).flatMap((name) => processesOf(join(cgroup, name))));
  } catch {
    return [];
  }
}

export function childCgroups(cgroup: string): string[] {
  return readdirSync(cgroup, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Proportional set size, KiB. */
export function memoryOf(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
}

/** Clock ticks of processor time. */
export function ticksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until the condition holds; the test's own time-out is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}
