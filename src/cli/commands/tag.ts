import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import type { Command, Context } from "../command.ts";

export const command: Command = {
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  options: [],
  arity: [2, 2],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [source = "", target = ""] = parsed.positional;
  const channel = await context.channel();
  await channel.unary(methods.tagImage, { source, target });
  return 0;
}
