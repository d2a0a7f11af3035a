// Where a container's log lies.

import { isAbsolute, join, resolve } from "node:path";
import { BerthError } from "../lib/errors.ts";
import type { Paths } from "../paths.ts";
import type { Pod } from "../types/pod.ts";

/**
 * Absolute path of the log, "" for none. `logPath` is relative to the pod's log directory and must stay
 * beneath it (CRI, ContainerConfig.log_path). Pods without a log directory log below berth's own root, or
 * where an absolute path says.
 */
export function logPathOf(paths: Paths, pod: Pick<Pod, "id" | "config">, logPath: string): string {
  if (logPath === "") return "";
  if (logPath.includes("\0")) throw invalid(logPath, "it holds a NUL");
  const directory = pod.config.logDirectory;
  if (directory === "" && isAbsolute(logPath)) return resolve(logPath);
  if (directory !== "" && !isAbsolute(directory)) {
    throw invalid(logPath, `the pod's log directory "${directory}" is not absolute`);
  }
  const base = directory === "" ? paths.podLogs(pod.id) : resolve(directory);
  const path = join(base, logPath);
  if (!path.startsWith(base === "/" ? "/" : `${base}/`)) {
    throw invalid(logPath, `it leads out of the log directory "${base}"`);
  }
  return path;
}

function invalid(logPath: string, why: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", `log path "${logPath}": ${why}`);
}
