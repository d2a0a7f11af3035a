// Runs in the virtual machine, started by systemd once the system is up. Each check's result goes as a line
// of JSON to the second serial port. Between the two parts the machine is reset, as by a loss of power.

import { existsSync, writeFileSync } from "node:fs";
import { checks as firstBoot } from "./first-boot.ts";
import { checks as secondBoot } from "./second-boot.ts";
import { checks as selinux } from "./selinux.ts";
import { type Check, INSTALLED, ONLY, RESULTS, read, run, say, tryRun } from "./support.ts";

const MARKER = "/var/lib/system-test-was-here";

function diagnosis(): string {
  return tryRun("journalctl", "-u", "berthd.service", "-n", "12", "--no-pager", "-o", "cat").out;
}

async function runAll(checks: readonly Check[]): Promise<void> {
  const only = new RegExp(read(INSTALLED, ONLY));
  for (const { name, run: check } of checks.filter(({ name }) => only.test(name))) {
    const started = performance.now();
    const elapsed = () => Math.round(performance.now() - started);
    try {
      await check();
      say({ name, ms: elapsed() });
    } catch (error) {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      say({ name, ms: elapsed(), error: `${message}\nThe daemon's log ends:\n${diagnosis()}` });
    }
  }
}

async function main(): Promise<void> {
  run("stty", "-F", RESULTS, "raw", "115200");
  if (existsSync("/sys/fs/selinux/enforce")) {
    await runAll(selinux);
    say({ end: true });
    run("systemctl", "poweroff");
    return;
  }
  if (existsSync(MARKER)) {
    await runAll(secondBoot);
    say({ end: true });
    run("systemctl", "poweroff");
    return;
  }
  // Now, not at the end: to sync the marker there would sync what the daemon may have forgotten to.
  writeFileSync(MARKER, "");
  run("sync");
  await runAll(firstBoot);
  writeFileSync("/proc/sysrq-trigger", "b");
}

await main().catch((error: unknown) => {
  say({ end: true, error: String(error) });
  tryRun("systemctl", "poweroff", "--force");
});
