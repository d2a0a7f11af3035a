// The command line: finds the command, reads its arguments, runs it, and words its errors.

import { messageOf } from "../lib/errors.ts";
import { version } from "../lib/version.ts";
import { parseArguments } from "./arguments/options.ts";
import { suggestion } from "./arguments/suggest.ts";
import type { Channel } from "./client/channel.ts";
import type { Command, Context } from "./command.ts";
import { complain } from "./complain.ts";
import { CliError, UsageError } from "./errors.ts";
import { commandHelp, GLOBAL_OPTIONS, overview, withHelp } from "./help.ts";
import { COMMANDS, findCommand, type Registered } from "./registry.ts";

const DEFAULT_SOCKET = "/run/berth/berth.sock";

/** Runs `berth` with `args`; the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let asked = "berth";
  try {
    const globals = parseArguments(args, { options: GLOBAL_OPTIONS, stopAtFirst: true });
    const rest = globals.positional;
    if (globals.flag("version")) return say(`berth version ${version}\n`);
    if (rest[0] === "help") return await help(rest.slice(1));
    if (globals.flag("help") || rest.length === 0) return say(overview(COMMANDS));
    const found = findCommand(rest);
    if (found === undefined) throw new UsageError(unknownCommand(rest));
    asked = `berth ${found.entry.name}`;
    const socket = socketOf(globals.text("host") ?? process.env.BERTH_HOST ?? "");
    return await runCommand(found.entry, rest.slice(found.taken), makeContext(socket));
  } catch (error) {
    return report(error, asked);
  }
}

async function runCommand(entry: Registered, args: readonly string[], context: Context): Promise<number> {
  const { command } = await entry.load();
  const { stopAtFirst = false, arity } = command;
  const parsed = parseArguments(args, { options: withHelp(command), stopAtFirst });
  if (parsed.flag("help")) return say(commandHelp(entry, command));
  const [least, most] = arity;
  if (parsed.positional.length < least || parsed.positional.length > (most ?? Number.POSITIVE_INFINITY)) {
    throw new UsageError(
      `"berth ${entry.name}" ${wants(arity)}; usage: berth ${entry.name} ${command.usage}`,
    );
  }
  return await command.run(context, parsed);
}

function wants([least, most]: Command["arity"]): string {
  const count = (number: number) => `${number} argument${number === 1 ? "" : "s"}`;
  if (most === 0) return "takes no arguments";
  if (most === undefined) return `needs at least ${count(least)}`;
  return least === most ? `needs exactly ${count(least)}` : `takes at most ${count(most)}`;
}

async function help(args: readonly string[]): Promise<number> {
  if (args.length === 0) return say(overview(COMMANDS));
  const found = findCommand(args);
  if (found === undefined) throw new UsageError(unknownCommand(args));
  return say(commandHelp(found.entry, (await found.entry.load()).command));
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function unknownCommand(words: readonly string[]): string {
  const [name = ""] = words;
  const names = COMMANDS.map((entry) => entry.name);
  const group = names.filter((one) => one.startsWith(`${name} `));
  if (group.length > 0) {
    const asked = words.slice(0, 2).join(" ");
    return `"${asked}" is no berth command; there ${group.length === 1 ? "is" : "are"} ${group.join(", ")}`;
  }
  const near = suggestion(name, names);
  return `"${name}" is no berth command${near === undefined ? "" : `; did you mean "${near}"?`}`;
}

/** Path of the socket that --host or BERTH_HOST names. */
function socketOf(host: string): string {
  if (host === "") return DEFAULT_SOCKET;
  const path = host.replace(/^unix:(?:\/\/)?(?=\/)/, "");
  if (/^[a-z]+:/.test(path))
    throw new UsageError(`invalid host "${host}": berthd listens on a unix socket only`, 125);
  return path;
}

function makeContext(socket: string): Context {
  let connecting: Promise<Channel> | undefined;
  return {
    socket,
    env: process.env,
    // A getter: merely looking at the standard input opens it.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    channel: () => {
      // HTTP/2 takes longer to load than everything else here: help texts do without.
      connecting ??= import("./client/channel.ts").then(({ Channel }) => Channel.open(socket));
      return connecting;
    },
  };
}

function report(error: unknown, asked: string): number {
  if (!(error instanceof CliError)) {
    complain(process.stderr, messageOf(error));
    return 1;
  }
  if (error.message !== "") complain(process.stderr, error.message);
  if (error instanceof UsageError) process.stderr.write(`See "${asked} --help".\n`);
  return error.exitCode;
}

/** The reader of a pipe has gone ("berth logs x | head"): there is nothing to say and nobody to say it to. */
function leaveQuietly(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  process.exit(1);
}

process.stdout.on("error", leaveQuietly);
process.stderr.on("error", leaveQuietly);
// Calls that nobody waits for any more may still hold the connection open: the exit does not wait for them.
main(process.argv.slice(2)).then((exitCode) => process.exit(exitCode));
