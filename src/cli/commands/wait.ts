import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import type { Command, Context } from "../command.ts";
import { eachOf } from "../each.ts";

export const command: Command = {
  usage: "CONTAINER [CONTAINER...]",
  options: [],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const channel = await context.channel();
  return await eachOf(context, parsed.positional, async (name) => {
    const { containerId } = await find(channel, name);
    const { exit } = await channel.unary(methods.wait, { containerId });
    return String(exit?.exitCode ?? 0);
  });
}
