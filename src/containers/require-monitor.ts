import { BerthError } from "../lib/errors.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { PodId } from "../types/ids.ts";
import type { ContainerDeps } from "./deps.ts";

/** The connected monitor of a pod. UNAVAILABLE when there is none just now: the daemon goes on connecting. */
export function requireMonitor(deps: Pick<ContainerDeps, "monitors">, podId: PodId, doing: string): Monitor {
  const monitor = deps.monitors.get(podId);
  if (monitor !== undefined) return monitor;
  throw new BerthError(
    "UNAVAILABLE",
    `${doing}: the monitor of pod "${podId}" does not answer; berth goes on connecting to it, try again`,
  );
}
