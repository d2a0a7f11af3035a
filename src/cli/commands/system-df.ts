import type { DiskUsageResponse } from "../../gen/berth/v1/images.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { humanSize } from "../format/quantities.ts";
import { formatListing, type Row } from "../format/template.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [
    {
      name: "format",
      kind: "text",
      value: "string",
      help: '"table", "json", or a text such as "{{.Type}} {{.Size}}"',
    },
  ],
  arity: [0, 0],
  run,
};

const COLUMNS = [
  ["TYPE", "Type"],
  ["TOTAL", "TotalCount"],
  ["ACTIVE", "Active"],
  ["SIZE", "Size"],
  ["RECLAIMABLE", "Reclaimable"],
] as const;

async function run(context: Context, parsed: Parsed): Promise<number> {
  const channel = await context.channel();
  const usage = await channel.unary(methods.diskUsage, {});
  const keys = [...COLUMNS.map(([, key]) => key), "Bytes"];
  const format = parsed.text("format");
  await print(context, formatListing({ rows: usageRows(usage), columns: COLUMNS, keys }, format));
  if (format === undefined || format === "table") {
    const { root, size, free, capacity } = usage;
    const words = [size, free, capacity].map((bytes) => humanSize(Number(bytes)));
    await print(context, `\n${root}: ${words[0]}; of the file system ${words[1]} of ${words[2]} are free\n`);
  }
  return 0;
}

/** A row for each kind that has something, in the order of the daemon. */
export function usageRows({ entries }: DiskUsageResponse): Row[] {
  return entries
    .filter(({ size, total }) => size > 0n || total > 0n)
    .map(({ kind, total, active, size, reclaimable }) => {
      const percent = size === 0n ? 0 : Math.min(100, Math.round((Number(reclaimable) * 100) / Number(size)));
      return {
        Type: `${kind.charAt(0).toUpperCase()}${kind.slice(1)}`,
        TotalCount: total === 0n ? "" : String(total),
        Active: total === 0n ? "" : String(active),
        Size: humanSize(Number(size)),
        Reclaimable: `${humanSize(Number(reclaimable))} (${percent}%)`,
        Bytes: String(size),
      };
    });
}
