// ExecSync over and over in one container: the memory of daemon and monitor stays where it is. By hand:
//   BERTH_EXECS=1000000 npm test -- e2e -t "in a row"

import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Daemon } from "../daemon.ts";
import { monitorPids } from "../support/leaks.ts";
import { BUSYBOX, Stage } from "../support/stage.ts";

const EXECS = Number(process.env.BERTH_EXECS ?? 3000);
/** Heaps and caches have their size after so many. */
const WARM_UP = Math.max(3000, Math.floor(EXECS / 10));
const PARALLEL = 4;
/** Of the monitor, which allocates next to nothing, and of the daemon, whose heap breathes. */
const MONITOR_KIB = 96;
const DAEMON_KIB = 32 * 1024;
/** Generous: a machine that is busy otherwise is no failure. */
const MS_PER_EXEC = 60;

let stage: Stage;
let daemon: Daemon;
beforeAll(async () => {
  stage = await Stage.make([BUSYBOX]);
  daemon = stage.daemon;
  // Garbage is collected soon: memory that grows is memory that is kept.
  await daemon.restart({ NODE_OPTIONS: "--max-semi-space-size=2" });
});
afterAll(() => stage.remove());

function pssKiB(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
}

function monitorPid(): number {
  const found = monitorPids(daemon.scratch);
  expect(found).toHaveLength(1);
  return found[0] as number;
}

const facts = (monitor: number) => ({
  daemonKiB: pssKiB(daemon.pid),
  monitorKiB: pssKiB(monitor),
  daemonDescriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
  monitorDescriptors: readdirSync(`/proc/${monitor}/fd`).length,
});

test(`${EXECS} execs in a row`, { timeout: 120_000 + (EXECS + WARM_UP) * MS_PER_EXEC }, async () => {
  const pod = await stage.runPod("endurance");
  const containerId = await stage.run(pod, "shell", BUSYBOX, ["sleep", "1000000"]);
  const monitor = monitorPid();
  const exec = async (count: number) => {
    let left = count;
    const worker = async () => {
      while (left-- > 0) {
        const answer = await daemon.ask<{ exitCode: number; stdout: Uint8Array }>("execSync", {
          containerId,
          cmd: ["echo", "x"],
          timeout: 60n,
        });
        if (answer.exitCode !== 0 || Buffer.from(answer.stdout).toString() !== "x\n") {
          throw new Error(`exit code ${answer.exitCode}, "${Buffer.from(answer.stdout)}"`);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  };
  await exec(WARM_UP);
  const before = facts(monitor);
  await exec(EXECS);
  const after = facts(monitor);
  console.log(`${EXECS} execs:`, JSON.stringify({ before, after }));
  expect(after.monitorKiB - before.monitorKiB).toBeLessThan(MONITOR_KIB);
  expect(after.daemonKiB - before.daemonKiB).toBeLessThan(DAEMON_KIB);
  // The last ones are closed when their answers are out.
  await expect.poll(() => facts(monitor).daemonDescriptors).toBeLessThanOrEqual(before.daemonDescriptors + 2);
  await expect
    .poll(() => facts(monitor).monitorDescriptors)
    .toBeLessThanOrEqual(before.monitorDescriptors + 2);
});
