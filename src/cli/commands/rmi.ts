import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { RpcError } from "../client/rpc-error.ts";
import type { Command, Context } from "../command.ts";
import { eachOf } from "../each.ts";
import { familiar } from "../format/references.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  options: [
    {
      name: "force",
      short: "f",
      kind: "flag",
      help: "Also a pinned image, or an id with several tags; a missing image is no error",
    },
  ],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const force = parsed.flag("force");
  const channel = await context.channel();
  return await eachOf(context, parsed.positional, async (reference) => {
    try {
      const { imageId, untagged, removed } = await channel.unary(methods.untagImage, { reference, force });
      const lines = untagged.map((name) => `Untagged: ${familiar(name)}`);
      return [...lines, ...(removed ? [`Deleted: ${imageId}`] : [])].join("\n");
    } catch (error) {
      if (force && error instanceof RpcError && error.code === "NOT_FOUND") return null;
      throw error;
    }
  });
}
