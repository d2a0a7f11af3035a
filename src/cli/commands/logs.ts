import type { LogRecord } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import { readSince } from "../arguments/quantities.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import { type Command, type Context, writeTo } from "../command.ts";
import { UsageError } from "../errors.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER",
  options: [
    { name: "follow", short: "f", kind: "flag", help: "Go on until the container ends" },
    {
      name: "tail",
      short: "n",
      kind: "text",
      value: "string",
      help: 'Number of lines from the end (default "all")',
    },
    { name: "timestamps", short: "t", kind: "flag", help: "Show timestamps" },
    {
      name: "since",
      kind: "text",
      value: "string",
      help: "Only what is not older (2026-01-02T13:23:37Z, or 42m)",
    },
  ],
  arity: [1, 1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [name = ""] = parsed.positional;
  const since = parsed.text("since");
  const request = {
    follow: parsed.flag("follow"),
    tail: tailOf(parsed.text("tail") ?? "all"),
    sinceNs: since === undefined ? 0n : readSince(since, Date.now()),
  };
  const channel = await context.channel();
  const { containerId } = await find(channel, name);
  const writer = new LogWriter(parsed.flag("timestamps"));
  for await (const { records } of channel.stream(methods.logs, { containerId, ...request })) {
    for (const { stderr, data } of writer.join(records)) {
      await writeTo(stderr ? context.stderr : context.stdout, data);
    }
  }
  return 0;
}

function tailOf(text: string): number | undefined {
  if (text === "all" || text === "-1") return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`invalid value "${text}" for --tail: a number or "all"`);
  return Number(text);
}

/** Turns records into as few writes as keep the order of both streams. */
export class LogWriter {
  readonly #timestamps: boolean;
  /** By stream: whether its last record left a line open. */
  readonly #open = new Map<boolean, boolean>();

  constructor(timestamps: boolean) {
    this.#timestamps = timestamps;
  }

  join(records: readonly LogRecord[]): { stderr: boolean; data: Buffer }[] {
    const writes: { stderr: boolean; parts: Buffer[] }[] = [];
    for (const { time, stderr, content } of records) {
      const last = writes.at(-1);
      const parts = last !== undefined && last.stderr === stderr ? last.parts : [];
      if (parts !== last?.parts) writes.push({ stderr, parts });
      if (this.#timestamps && !this.#open.get(stderr)) parts.push(Buffer.from(`${time} `));
      parts.push(content);
      this.#open.set(stderr, content.at(-1) !== 0x0a);
    }
    return writes.map(({ stderr, parts }) => ({ stderr, data: Buffer.concat(parts) }));
  }
}
