// What a pull costs: time, processor, memory, and what reaches the disk.

import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { setInterval as every } from "node:timers";
import { runProgram } from "../run/cleanup.ts";

export interface PullCost {
  readonly readySeconds: number;
  /** Until it is on the disk as well. */
  readonly syncedSeconds: number;
  /** Of the whole machine, the registry and the kernel's own threads included, until it is on the disk. */
  readonly cpuSeconds: number;
  /** The highest resident set of the pulling process. */
  readonly peakMiB: number;
  /** To the file system's device until everything of it is on the disk. */
  readonly writtenMB: number;
}

const TICKS_PER_SECOND = 100;

/** All but idle and waiting. */
function machineSeconds(): number {
  const [, user, nice, system, , , interrupts, soft] = readFileSync("/proc/stat", "utf8").split(/\s+/);
  const ticks = [user, nice, system, interrupts, soft].reduce((sum, value) => sum + Number(value), 0);
  return ticks / TICKS_PER_SECOND;
}

/** Bytes written to the block device below a mount point. */
async function writtenBytes(mountPoint: string): Promise<number> {
  const device = (await runProgram("findmnt", ["-no", "SOURCE", mountPoint])).trim();
  const fields = readFileSync(`/sys/class/block/${basename(device)}/stat`, "utf8")
    .trim()
    .split(/\s+/);
  return Number(fields[6]) * 512;
}

function highWaterKiB(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    // It ended meanwhile.
    return 0;
  }
}

/** Runs `pull` on the file system at `mountPoint`. `pid` is asked for while it runs: it may start late. */
export async function measurePull(
  mountPoint: string,
  pid: () => number | undefined,
  pull: () => Promise<void>,
): Promise<PullCost> {
  await runProgram("sync", ["-f", mountPoint]);
  const running = pid();
  // Forget the highest resident set so far (proc(5), clear_refs).
  if (running !== undefined) writeFileSync(`/proc/${running}/clear_refs`, "5");
  const written = await writtenBytes(mountPoint);
  const cpu = machineSeconds();
  let peakKiB = 0;
  const look = () => {
    const now = pid();
    if (now !== undefined) peakKiB = Math.max(peakKiB, highWaterKiB(now));
  };
  const looking = every(look, 20);
  const started = performance.now();
  try {
    await pull();
  } finally {
    clearInterval(looking);
  }
  const ready = performance.now();
  look();
  await runProgram("sync", ["-f", mountPoint]);
  const synced = performance.now();
  return {
    readySeconds: (ready - started) / 1000,
    syncedSeconds: (synced - started) / 1000,
    cpuSeconds: machineSeconds() - cpu,
    peakMiB: peakKiB / 1024,
    writtenMB: ((await writtenBytes(mountPoint)) - written) / 1e6,
  };
}
