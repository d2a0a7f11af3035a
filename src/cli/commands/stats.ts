import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerUsage } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import { type Command, type Context, print } from "../command.ts";
import { binarySize, humanSize } from "../format/quantities.ts";
import { shortId } from "../format/references.ts";
import { formatListing, type Row } from "../format/template.ts";

export const command: Command = {
  usage: "[OPTIONS] [CONTAINER...]",
  options: [
    { name: "no-stream", kind: "flag", help: "Show it once; without this, again every second" },
    { name: "no-trunc", kind: "flag", help: "Show everything in full" },
    {
      name: "format",
      kind: "text",
      value: "string",
      help: '"table", "json", or a text such as "{{.Name}} {{.CPUPerc}}"',
    },
  ],
  arity: [0],
  run,
};

const COLUMNS = [
  ["CONTAINER ID", "ID"],
  ["NAME", "Name"],
  ["CPU %", "CPUPerc"],
  ["MEM USAGE / LIMIT", "MemUsage"],
  ["MEM %", "MemPerc"],
  ["NET I/O", "NetIO"],
  ["BLOCK I/O", "BlockIO"],
  ["PIDS", "PIDs"],
] as const;
const KEYS = [...COLUMNS.map(([, key]) => key), "Container"];
const EVERY_MS = 1_000;
/** Cursor to the top left, and everything from there on cleared. */
const CLEAR = "\x1b[H\x1b[J";

async function run(context: Context, parsed: Parsed): Promise<number> {
  const channel = await context.channel();
  const containerIds: string[] = [];
  for (const name of parsed.positional) containerIds.push((await find(channel, name)).containerId);
  const format = parsed.text("format");
  const once = parsed.flag("no-stream");
  for (;;) {
    const { containers } = await channel.unary(methods.stats, { containerIds });
    const rows = containers.map((container) => row(container, parsed.flag("no-trunc")));
    const clear = !once && context.stdout.isTTY === true ? CLEAR : "";
    await print(context, clear + formatListing({ rows, columns: COLUMNS, keys: KEYS }, format));
    // Nothing more will come of containers that were named.
    if (once || (containerIds.length > 0 && containers.length === 0)) return 0;
    await sleep(EVERY_MS);
  }
}

/** One container as the table shows it. */
export function row(container: ContainerUsage, full: boolean): Row {
  const { memory, memoryLimit } = container;
  const limit = memoryLimit === 0n ? "-" : binarySize(Number(memoryLimit));
  return {
    Container: container.id,
    ID: full ? container.id : shortId(container.id),
    Name: container.name,
    CPUPerc: `${(Number(container.nanoCores) / 1e7).toFixed(2)}%`,
    MemUsage: `${binarySize(Number(memory))} / ${limit}`,
    MemPerc: memoryLimit === 0n ? "-" : `${((100 * Number(memory)) / Number(memoryLimit)).toFixed(2)}%`,
    NetIO: `${humanSize(Number(container.received))} / ${humanSize(Number(container.sent))}`,
    BlockIO: `${humanSize(Number(container.read))} / ${humanSize(Number(container.written))}`,
    PIDs: String(container.processes),
  };
}
