// Fail points for tests, by environment variables of the daemon. Every verb reports its named steps; a test
// lists them with the first, dies at each of them with the second, and is late at each with the third:
//   BERTH_STEP_LOG=<file>                     appends "<verb>/<step>/<before|after>", one a line
//   BERTH_CRASH_AT="RunPodSandbox/netns/after"  the daemon kills itself (SIGKILL) there
//   BERTH_DELAY_AT=<file>                     holds "<verb>/<step>/<before|after> <milliseconds>", read anew
//                                             at every step: the step at that point takes so much longer

import { openSync, readFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { StepObserver } from "../lib/call.ts";
import { errnoOf } from "../lib/errors.ts";

export function stepObserver(env: NodeJS.ProcessEnv): StepObserver {
  const crashAt = env.BERTH_CRASH_AT ?? "";
  const logPath = env.BERTH_STEP_LOG ?? "";
  const delayPath = env.BERTH_DELAY_AT ?? "";
  if (crashAt === "" && logPath === "" && delayPath === "") return () => {};
  const log = logPath === "" ? null : openSync(logPath, "a", 0o600);
  return (verb, step, when) => {
    const point = `${verb}/${step}/${when}`;
    if (log !== null) writeSync(log, `${point}\n`);
    if (point === crashAt) process.kill(process.pid, "SIGKILL");
    const delayMs = delayPath === "" ? 0 : delayOf(point, delayPath);
    return delayMs > 0 ? sleep(delayMs) : undefined;
  };
}

function delayOf(point: string, path: string): number {
  const [wanted, milliseconds] = readIfThere(path).trim().split(" ");
  return wanted === point ? Number(milliseconds) : 0;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}
