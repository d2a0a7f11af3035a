// What a section says about where it was measured.

import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { runProgram } from "./cleanup.ts";

function distribution(): string {
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown";
}

/** Such as "2 x AMD EPYC 7B13, 24 GiB, kernel 6.18.44, Debian GNU/Linux 12 (bookworm)". */
export function describeMachine(): string {
  const all = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  const model = (all[0]?.model ?? "unknown").replace(/\s+/g, " ").trim();
  return `${all.length} x ${model}, ${memory} GiB, kernel ${release()}, ${distribution()}`;
}

/** Load of the last minute. */
export function load(): string {
  return (loadavg()[0] ?? 0).toFixed(2);
}

/** Short commit, with "+" when there are changes that are not committed. */
export async function describeCommit(root: string): Promise<string> {
  try {
    const commit = (await runProgram("git", ["-C", root, "rev-parse", "--short", "HEAD"])).trim();
    const status = await runProgram("git", ["-C", root, "status", "--porcelain", "-uno"]);
    return status.trim() === "" ? commit : `${commit}+`;
  } catch {
    // An unpacked release has no history.
    return "unknown";
  }
}

/** First line that a program prints about its version, or null when it is not installed. */
export async function versionOf(program: string): Promise<string | null> {
  try {
    return (await runProgram(program, ["--version"])).split("\n")[0]?.trim() ?? "";
  } catch {
    return null;
  }
}
