import { DEFAULT_DETACH_KEYS, readDetachKeys } from "../arguments/detach-keys.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import type { Command, Context } from "../command.ts";
import { complain } from "../complain.ts";
import { CliError } from "../errors.ts";
import { opening, runSession } from "../session.ts";
import { forwardSignals } from "../signals.ts";
import { terminalSize } from "../terminal.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER",
  options: [
    { name: "no-stdin", kind: "flag", help: "Do not attach the standard input" },
    { name: "sig-proxy", kind: "text", value: "bool", help: "Pass signals on to the process (default true)" },
    { name: "detach-keys", kind: "text", value: "string", help: "Keys that detach (default ctrl-p,ctrl-q)" },
  ],
  arity: [1, 1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [name = ""] = parsed.positional;
  const detachKeys = readDetachKeys(parsed.text("detach-keys") ?? DEFAULT_DETACH_KEYS);
  const channel = await context.channel();
  const { containerId, tty, stdin: open, state } = await find(channel, name);
  if (state !== "running")
    throw new CliError(`cannot attach to container "${name}": it is ${state}, not running`);
  const stdin = open && !parsed.flag("no-stdin");
  const call = channel.call(methods.attach);
  call.write(opening({ containerId, stdin, size: tty ? terminalSize(context.stdout) : undefined }));
  const proxy = !["false", "0"].includes(parsed.text("sig-proxy") ?? "true");
  const stop = proxy
    ? forwardSignals(channel, containerId, (text) => complain(context.stderr, text))
    : () => {};
  try {
    const outcome = await runSession(context, call, call.responses(), { tty, stdin, detachKeys });
    return outcome.how === "exited" ? outcome.exitCode : 0;
  } finally {
    stop();
  }
}
