import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { RpcError } from "../client/rpc-error.ts";
import type { Command, Context } from "../command.ts";
import { eachOf } from "../each.ts";
import { CliError } from "../errors.ts";
import { shortId } from "../format/references.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  options: [{ name: "force", short: "f", kind: "flag", help: "A missing image is no error" }],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const force = parsed.flag("force");
  const channel = await context.channel();
  return await eachOf(context, parsed.positional, async (name) => {
    const id = await imageId(name);
    if (id === null) return null;
    const { containers } = await channel.unary(methods.listContainers, {});
    const user = containers.find((container) => container.imageId === id);
    if (user !== undefined) {
      throw new CliError(
        `cannot remove image "${name}": container ${shortId(user.id)} (${user.name}) uses it: ` +
          "remove that first",
      );
    }
    const spec = { image: name, annotations: {}, userSpecifiedImage: "", runtimeHandler: "", imageRef: "" };
    await channel.unary(methods.removeImage, { image: spec });
    return `Removed: ${name}`;
  });

  /** The CRI removes a missing image with success; whoever types a name wants to know. */
  async function imageId(name: string): Promise<string | null> {
    try {
      const { json } = await channel.unary(methods.inspect, { type: "image", name });
      return (JSON.parse(json) as { Id: string }).Id;
    } catch (error) {
      if (force && error instanceof RpcError && error.code === "NOT_FOUND") return null;
      throw error;
    }
  }
}
