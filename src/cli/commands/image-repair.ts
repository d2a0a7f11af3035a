import { readCredentials } from "../arguments/credentials.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";
import { familiar, shortId } from "../format/references.ts";

export const command: Command = {
  usage: "[OPTIONS] [IMAGE...]",
  options: [
    { name: "creds", kind: "text", value: "USER:PASSWORD", help: "Instead of the stored credentials" },
  ],
  arity: [0],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const credentials = readCredentials(parsed.text("creds"));
  const channel = await context.channel();
  const images = parsed.positional.length > 0 ? parsed.positional : [""];
  let failed = 0;
  let mended = 0;
  for (const reference of images) {
    for await (const image of channel.stream(methods.repairImage, { reference, credentials })) {
      for (const diffId of image.layers) {
        mended++;
        await print(context, `${shortId(diffId)}  ${familiar(image.name)}  repaired\n`);
      }
      if (image.containers.length > 0) {
        const ids = image.containers.map(shortId).join(", ");
        await print(context, `made from the damaged copy, and still using it: ${ids}\n`);
      }
      if (image.failure === "") continue;
      failed++;
      complain(context.stderr, image.failure);
    }
  }
  if (mended + failed === 0)
    await print(context, "nothing is known to be damaged; berth image verify looks\n");
  return failed > 0 ? 1 : 0;
}
