import type { Parsed } from "../arguments/options.ts";
import { readSignal } from "../arguments/quantities.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import type { Command, Context } from "../command.ts";
import { eachOf } from "../each.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  options: [
    { name: "signal", short: "s", kind: "text", value: "string", help: "Signal to send (default KILL)" },
  ],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const signal = readSignal("signal", parsed.text("signal") ?? "KILL");
  const channel = await context.channel();
  return await eachOf(context, parsed.positional, async (name) => {
    const { containerId } = await find(channel, name);
    await channel.unary(methods.signalContainer, { containerId, signal });
    return name;
  });
}
