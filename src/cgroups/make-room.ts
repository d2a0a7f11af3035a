// Memory for a limit that is to come: the kernel kills when it cannot take a cgroup below its new limit.

import { setTimeout as sleep } from "node:timers/promises";
import type { CgroupKernel } from "../kernel/kernel.ts";
import { errnoOf } from "../lib/errors.ts";

type ReadWrite = Pick<CgroupKernel, "readCgroup" | "writeCgroup">;

/** How often more is asked for, of a cgroup that takes again what it gave or has files being written. */
const ROUNDS = 20;
/** So long a disk is given to write some. */
const PAUSE_MS = 100;

/**
 * Has the kernel take back memory of a cgroup until it holds at most `limit` bytes. Resolves with the bytes
 * that it still holds when they cannot be taken back, else with null. Sets nothing, so a crash in the middle
 * leaves nothing behind; without the memory controller there is nothing to do.
 *
 * No figure tells beforehand. memory.stat is late (up to 64 pages for each processor, for two seconds), and
 * which of its pages can be given back now, being clean, unlocked or swappable, is not in it. The charge in
 * memory.current is what memory.max is held against, but counts the page cache.
 */
export async function makeRoom(kernel: ReadWrite, path: string, limit: number): Promise<number | null> {
  let held = await chargeOf(kernel, path);
  for (let round = 0; held > limit && round < ROUNDS; round++) {
    const answer = await reclaim(kernel, path, held - limit);
    if (answer === "unknown") return await heldForSure(kernel, path, limit);
    held = await chargeOf(kernel, path);
    if (answer === "done" || held <= limit) continue;
    // The kernel has tried sixteen times by then, as often as for a limit before it kills, and has begun to
    // write what is dirty.
    if ((await statOf(kernel, path, "file_dirty", "file_writeback")) === 0) break;
    await sleep(PAUSE_MS);
  }
  return held > limit ? held : null;
}

async function chargeOf(kernel: ReadWrite, path: string): Promise<number> {
  return Number((await kernel.readCgroup(path, "memory.current")) ?? 0);
}

/** memory.reclaim takes back at least so many bytes, else it says EAGAIN (admin-guide/cgroup-v2). */
async function reclaim(
  kernel: ReadWrite,
  path: string,
  bytes: number,
): Promise<"done" | "no more" | "unknown"> {
  try {
    await kernel.writeCgroup(path, "memory.reclaim", String(bytes));
    return "done";
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return "no more";
    if (errnoOf(error) === "ENOENT") return "unknown";
    throw error;
  }
}

/** For kernels without memory.reclaim (before 5.19): what has no file to be read from again. */
async function heldForSure(kernel: ReadWrite, path: string, limit: number): Promise<number | null> {
  const held = await statOf(kernel, path, "anon", "shmem");
  return held > limit ? held : null;
}

async function statOf(kernel: ReadWrite, path: string, ...names: string[]): Promise<number> {
  const stat = (await kernel.readCgroup(path, "memory.stat")) ?? "";
  const of = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0);
  return names.reduce((sum, name) => sum + of(name), 0);
}
