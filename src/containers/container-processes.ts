import { uptime } from "node:os";
import type { ProcessText } from "../kernel/kernel.ts";
import type { Call } from "../lib/call.ts";
import type { ContainerId } from "../types/ids.ts";
import type { RunningProcess } from "../types/stats.ts";
import { requireState } from "./container-lifecycle.ts";
import { containerStatus } from "./container-status.ts";
import type { ContainerDeps } from "./deps.ts";

/** Clock ticks of /proc/<pid>/stat, 100 a second (sysconf, _SC_CLK_TCK). */
const TICK_MS = 10;

/** The processes of a RUNNING container, execs included, as the host sees them; by process id. */
export async function containerProcesses(
  deps: Pick<ContainerDeps, "store" | "kernel">,
  _call: Call,
  id: ContainerId,
): Promise<RunningProcess[]> {
  const container = containerStatus(deps, id);
  requireState(container, "list the processes of");
  const bootMs = Date.now() - uptime() * 1000;
  const texts = await deps.kernel.readProcesses(container.cgroupPath);
  return texts.flatMap((text) => read(text, bootMs)).sort((a, b) => a.pid - b.pid);
}

/** Nothing for a process that ended while it was looked at. */
function read({ pid, stat, status, cmdline }: ProcessText, bootMs: number): RunningProcess[] {
  const text = stat.toString("latin1");
  // The name may hold anything: fields are counted after its last parenthesis, the first there is the third.
  const end = text.lastIndexOf(")");
  const fields = text.slice(end + 2).split(" ");
  const uid = /^Uid:\s+(\d+)/m.exec(status.toString("latin1"))?.[1];
  if (end < 0 || uid === undefined || fields.length < 20) return [];
  const number = (field: number) => Number(fields[field - 3]);
  const name = text.slice(text.indexOf("(") + 1, end);
  const argv = cmdline.toString("latin1").replace(/\0+$/, "");
  return [
    {
      pid,
      parent: number(4),
      uid: Number(uid),
      startedMs: Math.round(bootMs + number(22) * TICK_MS),
      cpuMs: (number(14) + number(15)) * TICK_MS,
      command: argv === "" ? [`[${name}]`] : argv.split("\0"),
    },
  ];
}
