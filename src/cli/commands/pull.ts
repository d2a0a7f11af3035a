import { readCredentials } from "../arguments/credentials.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { explainPull } from "../explain-pull.ts";
import { pullImage } from "../pull.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  options: [
    { name: "quiet", short: "q", kind: "flag", help: "Print the image's name only" },
    {
      name: "creds",
      kind: "text",
      value: "user:password",
      help: "Credentials, instead of those of berth login or docker login",
    },
    { name: "explain", kind: "flag", help: "Say afterwards where the time went" },
  ],
  arity: [1, 1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [image = ""] = parsed.positional;
  const quiet = parsed.flag("quiet");
  const creds = readCredentials(parsed.text("creds"));
  const auth = creds && { ...creds, auth: "", serverAddress: "", identityToken: "", registryToken: "" };
  const named = /@|:[^/]*$/.test(image);
  if (!quiet && !named) await print(context, "Using default tag: latest\n");
  const { imageId, repoDigests } = await pullImage(context, image, { stream: context.stdout, quiet, auth });
  const digest = repoDigests[0]?.split("@")[1];
  if (!quiet && digest !== undefined) await print(context, `Digest: ${digest}\n`);
  if (!quiet) await print(context, `Image: ${imageId}\n`);
  await print(context, `${image}\n`);
  if (parsed.flag("explain")) {
    const channel = await context.channel();
    const { pulls } = await channel.unary(methods.listPulls, { image });
    if (pulls[0] !== undefined) await print(context, `\n${explainPull(pulls[0], Date.now())}`);
  }
  return 0;
}
