import type { PushImageResponse } from "../../gen/berth/v1/images.ts";
import { readCredentials } from "../arguments/credentials.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { CliError } from "../errors.ts";
import { pushDisplay } from "../progress.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME[:TAG] [DESTINATION[:TAG]]",
  options: [
    { name: "quiet", short: "q", kind: "flag", help: "Print the pushed reference only" },
    { name: "creds", kind: "text", value: "USER:PASSWORD", help: "Instead of the stored credentials" },
  ],
  arity: [1, 2],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const [image = "", target = ""] = parsed.positional;
  const quiet = parsed.flag("quiet");
  const credentials = readCredentials(parsed.text("creds"));
  const channel = await context.channel();
  const display = pushDisplay(context.stdout, quiet);
  let last: PushImageResponse | undefined;
  try {
    for await (const response of channel.stream(methods.pushImage, { image, target, credentials })) {
      if (response.layers.length > 0) display.update(response.layers);
      if (response.digest !== "") last = response;
    }
  } finally {
    display.finish();
  }
  if (last === undefined) throw new CliError(`push "${image}": the daemon told no digest`);
  const { reference, digest, size, recompressed } = last;
  if (quiet) {
    await print(context, `${reference}\n`);
    return 0;
  }
  const tag = reference.slice(reference.lastIndexOf(":") + 1);
  await print(context, `${tag}: digest: ${digest} size: ${size}\n`);
  if (recompressed.length > 0) {
    const layers = recompressed.length === 1 ? "1 layer was" : `${recompressed.length} layers were`;
    await print(
      context,
      `${layers} compressed anew, since the form of the registry was not kept: the digest is not the one ` +
        "that was pulled; the image id is the same\n",
    );
  }
  return 0;
}
