// News from monitors.

import { recordExit } from "../containers/record-exit.ts";
import { messageOf } from "../lib/errors.ts";
import type { MonitorEvents } from "../monitor/monitor.ts";
import type { PodDeps } from "./deps.ts";
import { loseMonitor } from "./lose-monitor.ts";

/** What a monitor's connection is given to report to. */
export function monitorEvents(deps: PodDeps): MonitorEvents {
  return {
    onExit(id, exit) {
      recordExit(deps, id, exit).catch((error) => {
        deps.log.error({ container: id, error: messageOf(error) }, "record exit of container");
      });
    },
    onLost(podId) {
      loseMonitor(deps, podId).catch((error) => {
        deps.log.error({ pod: podId, error: messageOf(error) }, "clear up after a lost monitor");
      });
    },
  };
}
