import type { Parsed } from "../arguments/options.ts";
import { type Command, type Context, print } from "../command.ts";
import { pullImage } from "../pull.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  options: [{ name: "quiet", short: "q", kind: "flag", help: "Print the image's name only" }],
  arity: [1, 1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [image = ""] = parsed.positional;
  const quiet = parsed.flag("quiet");
  const channel = await context.channel();
  const named = /@|:[^/]*$/.test(image);
  if (!quiet && !named) await print(context, "Using default tag: latest\n");
  const { imageId, repoDigests } = await pullImage(channel, image, context.stdout, quiet);
  const digest = repoDigests[0]?.split("@")[1];
  if (!quiet && digest !== undefined) await print(context, `Digest: ${digest}\n`);
  if (!quiet) await print(context, `Image: ${imageId}\n`);
  await print(context, `${image}\n`);
  return 0;
}
