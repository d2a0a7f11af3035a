// The daemon's kernel, and cgroups and processes that go away with the test.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { loadKernel } from "../../../src/kernel/binding.ts";

export const kernel = loadKernel();

/** A path for a cgroup that nobody has. */
export async function freshCgroup(): Promise<string> {
  return join(await kernel.cgroupMount(), `berth-test-${randomBytes(6).toString("hex")}`);
}

export async function dropCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  await kernel.destroyCgroup(path, 5_000);
}

/**
 * A process that has come to rest until it is killed, and the promise of its end. For a while after the
 * spawn the loader has a file open, and little of the program is in memory yet.
 */
export async function sleeper(): Promise<{ child: ChildProcess; pid: number; ended: Promise<unknown> }> {
  const child = spawn("sh", ["-c", "kill -STOP $$"], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit");
  await once(child, "spawn");
  await expect.poll(() => readFileSync(`/proc/${child.pid}/stat`, "utf8")).toMatch(/\) T /);
  return { child, pid: child.pid!, ended };
}
