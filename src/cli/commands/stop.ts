import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find } from "../client/objects.ts";
import type { Command, Context } from "../command.ts";
import { eachOf } from "../each.ts";

const DEFAULT_SECONDS = 10;

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  options: [
    {
      name: "time",
      short: "t",
      kind: "text",
      value: "int",
      help: "Seconds to wait before killing it (default 10)",
    },
    { name: "timeout", kind: "text", value: "int", help: "The same as --time" },
  ],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const seconds = parsed.number("time") ?? parsed.number("timeout") ?? DEFAULT_SECONDS;
  const channel = await context.channel();
  return await eachOf(context, parsed.positional, async (name) => {
    const { containerId, podId, ownsPod } = await find(channel, name);
    await channel.unary(methods.stopContainer, { containerId, timeout: BigInt(seconds) });
    // A pod of its own holds an address and ports that nobody needs any more.
    if (ownsPod) await channel.unary(methods.stopPodSandbox, { podSandboxId: podId });
    return name;
  });
}
