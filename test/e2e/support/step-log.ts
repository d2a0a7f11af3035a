// What a daemon with BERTH_STEP_LOG has written.

import { existsSync, readFileSync } from "node:fs";

/** The names of a verb's steps, each once, in the order of the log. */
export function stepsIn(log: string, verb: string): string[] {
  const lines = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
  return [...new Set(lines.filter((line) => line.startsWith(`${verb}/`)))];
}
