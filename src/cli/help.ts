// Help texts, in the shape of docker's.

import type { OptionSpec, OptionTable } from "./arguments/options.ts";
import type { Command } from "./command.ts";

export const GLOBAL_OPTIONS: OptionTable = [
  {
    name: "host",
    short: "H",
    kind: "text",
    value: "string",
    help: "Socket of the daemon (default /run/berth/berth.sock, or $BERTH_HOST)",
  },
  { name: "version", short: "v", kind: "flag", help: "Print the version and quit" },
  { name: "help", short: "h", kind: "flag", help: "Print this text" },
];

/** The options of `command` and --help; -h as well, where it means nothing else. */
export function withHelp(command: Command): OptionTable {
  const taken = command.options.some((option) => option.short === "h");
  const help: OptionSpec = { name: "help", kind: "flag", help: "Print usage" };
  return [...command.options, taken ? help : { ...help, short: "h" }];
}

export interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly aliases?: readonly string[];
}

export function commandHelp(entry: Entry, command: Command): string {
  const aliases = entry.aliases ?? [];
  const parts = [`Usage:  berth ${entry.name} ${command.usage}`.trimEnd(), entry.summary];
  if (aliases.length > 0) {
    parts.push(`Aliases:\n  ${[entry.name, ...aliases].map((name) => `berth ${name}`).join(", ")}`);
  }
  parts.push(`Options:\n${optionLines(command.options)}`);
  return `${parts.join("\n\n")}\n`;
}

export function overview(entries: readonly Entry[]): string {
  const width = Math.max(...entries.map(({ name }) => name.length)) + 3;
  const lines = entries.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`);
  return [
    "Usage:  berth [OPTIONS] COMMAND",
    "A container engine: runs containers, also for a kubelet",
    `Commands:\n${lines.join("\n")}`,
    `Global options:\n${optionLines(GLOBAL_OPTIONS)}`,
    "Run 'berth COMMAND --help' for more on a command.\n",
  ].join("\n\n");
}

function optionLines(options: OptionTable): string {
  const sorted = [...options].sort((a, b) => (a.name < b.name ? -1 : 1));
  const heads = sorted.map(({ name, short, kind, value }) => {
    const flag = `${short === undefined ? "    " : `-${short}, `}--${name}`;
    return kind === "flag" ? flag : `${flag} ${value ?? "string"}`;
  });
  const width = Math.max(6, ...heads.map((head) => head.length)) + 3;
  return sorted.map(({ help }, index) => `  ${(heads[index] as string).padEnd(width)}${help}`).join("\n");
}
