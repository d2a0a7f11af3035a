import type { Process } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import { type Command, type Context, print } from "../command.ts";
import { table } from "../format/table.ts";

export const command: Command = { usage: "CONTAINER", options: [], arity: [1, 1], run };

const HEADERS = ["UID", "PID", "PPID", "STIME", "TIME", "CMD"];
const DAY_MS = 86_400_000;

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [name = ""] = parsed.positional;
  const channel = await context.channel();
  const { containerId } = await find(channel, name);
  const { processes } = await channel.unary(methods.top, { containerId });
  const now = new Date();
  await print(
    context,
    table(
      HEADERS,
      processes.map((process) => cells(process, now)),
    ),
  );
  return 0;
}

/** One process as ps shows it. */
export function cells(process: Process, now: Date): string[] {
  const seconds = Math.floor(Number(process.cpuMs) / 1000);
  const two = (number: number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const time = [hours, minutes, seconds % 60].map(two).join(":");
  return [
    String(process.uid),
    String(process.pid),
    String(process.parent),
    started(new Date(Number(process.startedMs)), now),
    time,
    process.command.map((argument) => Buffer.from(argument).toString("utf8")).join(" "),
  ];
}

/** The time of day, or the date of what began more than a day ago. */
function started(then: Date, now: Date): string {
  const recent = now.getTime() - then.getTime() < DAY_MS;
  const options = recent
    ? ({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const)
    : ({ month: "short", day: "2-digit" } as const);
  return then.toLocaleString("en-GB", options);
}
