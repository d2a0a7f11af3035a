// Where a pod's cgroup lies.

import { join } from "node:path";
import { BerthError } from "../lib/errors.ts";

/**
 * Absolute directory of a pod's cgroup: `mount`/`parent`/`name`. `parent` is in cgroupfs syntax, such as
 * "/kubepods/burstable/pod123" (CRI, LinuxPodSandboxConfig.cgroup_parent).
 * INVALID_ARGUMENT when it could lead out of the hierarchy.
 */
export function podCgroupPath(mount: string, parent: string, name: string): string {
  const parts = parent.split("/").filter((part) => part !== "");
  for (const part of parts) {
    if (part !== "." && part !== ".." && !part.includes("\0") && part.length <= 255) continue;
    throw new BerthError(
      "INVALID_ARGUMENT",
      `cgroup parent "${parent}": component "${part}" is not a directory name`,
    );
  }
  if (parts.length > 0 && parts.at(-1)?.endsWith(".slice") && !parent.startsWith("/")) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `cgroup parent "${parent}" is a systemd slice; ` +
        'this daemon uses the cgroupfs driver, which wants a path such as "/kubepods"',
    );
  }
  return join(mount, ...parts, name);
}
