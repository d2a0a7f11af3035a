// Memory of processes as the kernel shares it out.

import { readdirSync, readFileSync } from "node:fs";

/** Proportional set size in KiB: own pages, and each shared one divided by those who share it. */
export function pssKiB(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const value = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1];
  if (value === undefined) throw new Error(`read PSS of process ${pid}: no Pss line in its smaps_rollup`);
  return Number(value);
}

/** Ids of the processes of which `matches` holds, given their arguments. */
export function findProcesses(matches: (args: readonly string[]) => boolean): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return matches(readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0"));
    } catch {
      // It ended meanwhile.
      return false;
    }
  });
}

/** Ids of the direct children of a process, its threads' included. */
export function childrenOf(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"));
  return lists.flatMap((list) => list.split(" ").filter((word) => word !== "")).map(Number);
}

/** First argument of a process, "" when it ended. */
export function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] ?? "";
  } catch {
    return "";
  }
}
