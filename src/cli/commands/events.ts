import type { EventsResponse } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { UsageError } from "../errors.ts";
import { harmless } from "../format/table.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [
    {
      name: "filter",
      short: "f",
      kind: "list",
      value: "filter",
      help: "type=, event=, container=, pod=, image=; those of one kind are alternatives",
    },
    { name: "format", kind: "text", value: "string", help: '"json": one object a line' },
  ],
  arity: [0, 0],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const format = parsed.text("format");
  if (format !== undefined && format !== "json" && format !== "{{json .}}") {
    throw new UsageError(`invalid value "${format}" for --format: there is "json"`);
  }
  const fits = readFilters(parsed.list("filter"));
  const channel = await context.channel();
  for await (const event of channel.stream(methods.events, {})) {
    if (fits(event)) await print(context, format === undefined ? line(event) : json(event));
  }
  return 0;
}

type Fits = (event: EventsResponse) => boolean;

/** What fits one filter of each kind that is given. */
export function readFilters(texts: readonly string[]): Fits {
  const filters = texts.map((text) => {
    const [, key = "", value = ""] = /^(\w+)=(.*)$/s.exec(text) ?? [];
    const kinds: Record<string, Fits> = {
      type: ({ type }) => type === value,
      event: ({ action }) => action === value,
      container: ({ type, id, name }) => type === "container" && (id.startsWith(value) || name === value),
      pod: ({ podId }) => podId !== "" && podId.startsWith(value),
      image: ({ image, id, type }) => image === value || (type === "image" && id.startsWith(value)),
    };
    if (value === "" || !Object.hasOwn(kinds, key)) {
      throw new UsageError(`invalid filter "${text}": there are ${Object.keys(kinds).join("=, ")}=`);
    }
    return { key, fits: kinds[key] as Fits };
  });
  const byKey = [...Map.groupBy(filters, ({ key }) => key).values()];
  return (event) => byKey.every((alternatives) => alternatives.some(({ fits }) => fits(event)));
}

/** As docker words it: time, type, action, id, and details in parentheses. */
export function line(event: EventsResponse): string {
  const details = Object.entries(detailsOf(event)).map(([key, value]) => `${key}=${value}`);
  const tail = details.length === 0 ? "" : ` (${details.join(", ")})`;
  return `${harmless(`${timeOf(event)} ${event.type} ${event.action} ${event.id}${tail}`)}\n`;
}

export function json(event: EventsResponse): string {
  const { type, action, id } = event;
  return `${JSON.stringify({ time: timeOf(event), type, action, id, ...detailsOf(event) })}\n`;
}

function timeOf({ at }: EventsResponse): string {
  return new Date(Number(at) / 1000).toISOString();
}

function detailsOf(event: EventsResponse): Record<string, string | number | boolean> {
  return {
    ...(event.name === "" ? {} : { name: event.name }),
    ...(event.image === "" ? {} : { image: event.image }),
    ...(event.type === "container" ? { pod: event.podId } : {}),
    ...(event.action === "die" ? { exitCode: event.exitCode } : {}),
    ...(event.oomKilled ? { oomKilled: true } : {}),
  };
}
