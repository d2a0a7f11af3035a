// Loaded into the daemon before its own code: measures how long its event loop is held up. On SIGUSR2 what
// was seen since the last time goes to the file that BERTH_LOOP_FILE names.

import { readFileSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

/** The timer whose lateness is measured fires every millisecond. */
const INTERVAL_MS = 1;

const delays = monitorEventLoopDelay({ resolution: INTERVAL_MS });
delays.enable();
let longest = { late: 0, own: 0 };
let last = { at: performance.now(), waited: waitedMs() };

/** How long this thread was ready to run and had no processor: other processes' work, not a held up loop. */
function waitedMs() {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]) / 1e6;
}

setInterval(() => {
  const now = { at: performance.now(), waited: waitedMs() };
  const late = now.at - last.at - INTERVAL_MS;
  const own = late - (now.waited - last.waited);
  longest = { late: Math.max(longest.late, late), own: Math.max(longest.own, own) };
  last = now;
}, INTERVAL_MS).unref();

process.on("SIGUSR2", () => {
  const ms = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - INTERVAL_MS);
  const p99 = ms(delays.percentile(99));
  writeFileSync(process.env.BERTH_LOOP_FILE, JSON.stringify({ ...longest, p99 }));
  delays.reset();
  longest = { late: 0, own: 0 };
  last = { at: performance.now(), waited: waitedMs() };
});
