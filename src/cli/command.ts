// What a command is, and what it is given to work with.

import type { OptionTable, Parsed } from "./arguments/options.ts";
import type { Channel } from "./client/channel.ts";

export interface Context {
  /** Path of the daemon's socket. */
  readonly socket: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** The connection to the daemon, made at the first call. */
  channel(): Promise<Channel>;
}

export interface Command {
  /** Arguments as the help text shows them, such as "[OPTIONS] CONTAINER [CONTAINER...]". */
  readonly usage: string;
  readonly options: OptionTable;
  /** How many plain arguments: at least, and at most (absent: any number). */
  readonly arity: readonly [number, number?];
  /** Options end at the first plain argument. */
  readonly stopAtFirst?: boolean;
  /** Runs the command; its exit code. */
  run(context: Context, parsed: Parsed): Promise<number>;
}

/** Writes to the standard output, waiting when it is a pipe that nobody empties. */
export async function print(context: Context, text: string | Uint8Array): Promise<void> {
  await writeTo(context.stdout, text);
}

export async function writeTo(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  if (data.length === 0 || stream.write(data)) return;
  await new Promise<void>((resolve) => stream.once("drain", resolve));
}
