// Parts of /proc and /sys that tell about the host or change it.

import type { ContainerSecurity } from "../types/container.ts";
import { absolutePath } from "./process.ts";

const MASKED = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

const READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/**
 * Paths to hide and paths to make read-only; none for a privileged container. A request that names none
 * gets the defaults: an absent list and an empty one look the same in the CRI.
 */
export function guardedPaths(security: ContainerSecurity): {
  masked: readonly string[];
  readonly: readonly string[];
} {
  if (security.privileged) return { masked: [], readonly: [] };
  return {
    masked: listOr(security.maskedPaths, MASKED, "masked path"),
    readonly: listOr(security.readonlyPaths, READONLY, "read-only path"),
  };
}

function listOr(asked: readonly string[], otherwise: readonly string[], what: string): readonly string[] {
  return asked.length === 0 ? otherwise : [...new Set(asked.map((path) => absolutePath(path, what)))];
}
