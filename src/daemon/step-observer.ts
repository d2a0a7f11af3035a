// Fail points for crash tests, by two environment variables of the daemon. Every verb reports its named
// steps; a test lists them with the first and dies at each of them with the second:
//   BERTH_STEP_LOG=<file>                     appends "<verb>/<step>/<before|after>", one a line
//   BERTH_CRASH_AT="RunPodSandbox/netns/after"  the daemon kills itself (SIGKILL) there

import { openSync, writeSync } from "node:fs";
import type { StepObserver } from "../lib/call.ts";

export function stepObserver(env: NodeJS.ProcessEnv): StepObserver {
  const crashAt = env.BERTH_CRASH_AT ?? "";
  const logPath = env.BERTH_STEP_LOG ?? "";
  if (crashAt === "" && logPath === "") return () => {};
  const log = logPath === "" ? null : openSync(logPath, "a", 0o600);
  return (verb, step, when) => {
    const point = `${verb}/${step}/${when}`;
    if (log !== null) writeSync(log, `${point}\n`);
    if (point === crashAt) process.kill(process.pid, "SIGKILL");
  };
}
