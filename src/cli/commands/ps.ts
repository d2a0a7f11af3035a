import type { ContainerSummary } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { UsageError } from "../errors.ts";
import { ago, humanDuration } from "../format/quantities.ts";
import { shortId, shortImage } from "../format/references.ts";
import { formatListing, type Row } from "../format/template.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [
    { name: "all", short: "a", kind: "flag", help: "Show all containers (default: those that run)" },
    { name: "quiet", short: "q", kind: "flag", help: "Show ids only" },
    { name: "no-trunc", kind: "flag", help: "Show everything in full" },
    { name: "filter", short: "f", kind: "list", value: "filter", help: "name=, id=, status=, label=, pod=" },
    {
      name: "last",
      short: "n",
      kind: "text",
      value: "int",
      help: "Show the n youngest, whatever their state",
    },
    {
      name: "format",
      kind: "text",
      value: "string",
      help: '"table", "json", or a text such as "{{.ID}} {{.Names}}"',
    },
  ],
  arity: [0, 0],
  run,
};

const COLUMNS = [
  ["CONTAINER ID", "ID"],
  ["IMAGE", "Image"],
  ["COMMAND", "Command"],
  ["CREATED", "RunningFor"],
  ["STATUS", "Status"],
  ["PORTS", "Ports"],
  ["NAMES", "Names"],
] as const;
const KEYS = [
  ...COLUMNS.map(([, key]) => key),
  "State",
  "CreatedAt",
  "Labels",
  "Pod",
  "Namespace",
  "ImageID",
];

async function run(context: Context, parsed: Parsed): Promise<number> {
  const filters = parsed.list("filter").map(readFilter);
  const last = parsed.number("last");
  const everything = parsed.flag("all") || last !== undefined || filters.some(({ key }) => key === "status");
  const channel = await context.channel();
  const { containers } = await channel.unary(methods.listContainers, {});
  const chosen = containers
    .filter((container) => everything || container.state === "running")
    .filter((container) => filters.every((filter) => filter.fits(container)))
    .slice(0, last);
  const full = parsed.flag("no-trunc");
  if (parsed.flag("quiet")) {
    await print(context, chosen.map(({ id }) => `${full ? id : shortId(id)}\n`).join(""));
    return 0;
  }
  const now = Date.now();
  const rows = chosen.map((container) => row(container, now, full));
  await print(context, formatListing({ rows, columns: COLUMNS, keys: KEYS }, parsed.text("format")));
  return 0;
}

interface Filter {
  readonly key: string;
  fits(container: ContainerSummary): boolean;
}

function readFilter(text: string): Filter {
  const [, key = "", value = ""] = /^(\w+)=(.*)$/s.exec(text) ?? [];
  const [label = "", wanted] = value.split(/=(.*)/s);
  const filters: Record<string, (container: ContainerSummary) => boolean> = {
    name: ({ name }) => name.includes(value),
    id: ({ id }) => id.startsWith(value),
    status: ({ state }) => state === value,
    label: ({ labels }) => Object.hasOwn(labels, label) && (wanted === undefined || labels[label] === wanted),
    pod: ({ podId, podName }) => podId.startsWith(value) || podName === value,
  };
  const fits = Object.hasOwn(filters, key) ? filters[key] : undefined;
  if (fits === undefined) {
    throw new UsageError(`invalid filter "${text}": there are ${Object.keys(filters).join("=, ")}=`);
  }
  return { key, fits };
}

/** One container as a listing shows it. Times are milliseconds since the epoch. */
export function row(container: ContainerSummary, now: number, full: boolean): Row {
  const created = Number(container.createdAt) / 1000;
  return {
    ID: full ? container.id : shortId(container.id),
    Image: full ? container.image : shortImage(container.image),
    ImageID: container.imageId,
    Command: `"${shortened(container.command.join(" "), full)}"`,
    CreatedAt: new Date(created).toISOString(),
    RunningFor: ago(created, now),
    State: container.state,
    Status: status(container, now),
    Ports: ports(container),
    Names: container.name,
    Labels: Object.entries(container.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    Pod: container.podName,
    Namespace: container.podNamespace,
  };
}

const COMMAND_WIDTH = 20;

function shortened(text: string, full: boolean): string {
  const letters = [...text];
  if (full || letters.length <= COMMAND_WIDTH) return text;
  return `${letters.slice(0, COMMAND_WIDTH - 1).join("")}…`;
}

function status(container: ContainerSummary, now: number): string {
  const since = (micros: bigint) => humanDuration(Math.max(0, now - Number(micros) / 1000));
  switch (container.state) {
    case "running":
      return `Up ${since(container.startedAt)}`;
    case "exited":
      return (
        `Exited (${container.exitCode}) ${since(container.finishedAt)} ago` +
        (container.oomKilled ? " (out of memory)" : "")
      );
    case "created":
      return "Created";
    default:
      return "Unknown";
  }
}

function ports(container: ContainerSummary): string {
  return container.ports
    .map(({ hostIp, hostPort, containerPort, protocol }) => {
      if (hostPort === 0) return `${containerPort}/${protocol}`;
      const host = hostIp === "" ? "0.0.0.0" : hostIp.includes(":") ? `[${hostIp}]` : hostIp;
      return `${host}:${hostPort}->${containerPort}/${protocol}`;
    })
    .join(", ");
}
