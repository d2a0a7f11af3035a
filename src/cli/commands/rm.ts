import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { find, removePod } from "../client/objects.ts";
import { RpcError } from "../client/rpc-error.ts";
import type { Command, Context } from "../command.ts";
import { eachOf } from "../each.ts";
import { CliError } from "../errors.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  options: [
    { name: "force", short: "f", kind: "flag", help: "Kill it if it runs; a missing one is no error" },
  ],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const force = parsed.flag("force");
  const channel = await context.channel();
  return await eachOf(context, parsed.positional, async (name) => {
    try {
      const { containerId, podId, ownsPod, state } = await find(channel, name);
      if (state === "running" && !force) {
        throw new CliError(`cannot remove container "${name}": it is running: stop it first or use -f`);
      }
      if (state === "running") await channel.unary(methods.stopContainer, { containerId, timeout: 0n });
      if (ownsPod) await removePod(channel, podId);
      else await channel.unary(methods.removeContainer, { containerId });
      return name;
    } catch (error) {
      if (force && error instanceof RpcError && error.code === "NOT_FOUND") return null;
      throw error;
    }
  });
}
