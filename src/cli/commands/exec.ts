import { messageOf } from "../../lib/errors.ts";
import { readEnvironment } from "../arguments/environment.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import type { Command, Context } from "../command.ts";
import { CliError, UsageError } from "../errors.ts";
import { opening, runSession } from "../session.ts";
import { exitCodeOfFailure } from "../start-failure.ts";
import { terminalSize } from "../terminal.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  options: [
    { name: "detach", short: "d", kind: "flag", help: "Leave the command alone once it runs" },
    { name: "interactive", short: "i", kind: "flag", help: "Keep the standard input open" },
    { name: "tty", short: "t", kind: "flag", help: "Give the command a terminal" },
    { name: "env", short: "e", kind: "list", value: "list", help: "Set environment variables" },
    { name: "env-file", kind: "list", value: "list", help: "Read environment variables from a file" },
    {
      name: "user",
      short: "u",
      kind: "text",
      value: "string",
      help: "User name or id (format: user[:group])",
    },
    {
      name: "workdir",
      short: "w",
      kind: "text",
      value: "string",
      help: "Working directory in the container",
    },
    { name: "privileged", kind: "flag", help: "Give the command all capabilities" },
  ],
  arity: [2],
  stopAtFirst: true,
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [name = "", ...argv] = parsed.positional;
  const tty = parsed.flag("tty");
  const detach = parsed.flag("detach");
  const stdin = parsed.flag("interactive") && !detach;
  if (tty && stdin && !context.stdin.isTTY) {
    throw new UsageError("the input device is not a terminal: leave out -t", 125);
  }
  const env = readEnvironment(parsed.list("env-file"), parsed.list("env"), context.env);
  if (tty && !env.some((variable) => variable.name === "TERM")) env.unshift({ name: "TERM", value: "xterm" });
  const channel = await context.channel();
  const { containerId } = await find(channel, name);
  const start = {
    containerId,
    argv,
    tty,
    stdin,
    env: env.map((variable) => `${variable.name}=${variable.value}`),
    user: parsed.text("user") ?? "",
    workingDir: parsed.text("workdir") ?? "",
    privileged: parsed.flag("privileged"),
    size: tty ? terminalSize(context.stdout) : undefined,
  };
  try {
    if (detach) {
      await channel.unary(methods.startExec, start);
      return 0;
    }
    const call = channel.call(methods.exec);
    call.write(opening(start));
    const options = { tty, stdin, detachKeys: Buffer.alloc(0) };
    const outcome = await runSession(context, call, call.responses(), options);
    return outcome.how === "exited" ? outcome.exitCode : 0;
  } catch (error) {
    const code = exitCodeOfFailure(error);
    // Other errors of the daemon are docker's exit code 1 here: the container itself is fine.
    throw new CliError(messageOf(error), code === 125 ? 1 : code);
  }
}
