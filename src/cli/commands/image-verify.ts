import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { eachOf } from "../each.ts";
import { familiar, shortId } from "../format/references.ts";

export const command: Command = {
  usage: "[OPTIONS] [IMAGE...]",
  options: [
    {
      name: "full",
      kind: "flag",
      help: "Read every byte; without it names, sizes, types, modes and owners are compared",
    },
    { name: "quiet", short: "q", kind: "flag", help: "Say nothing about sound layers" },
  ],
  arity: [0],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const full = parsed.flag("full");
  const channel = await context.channel();
  const images = parsed.positional.length > 0 ? parsed.positional : [""];
  let damaged = 0;
  const code = await eachOf(context, images, async (reference) => {
    for await (const verdict of channel.stream(methods.verifyImage, { reference, full })) {
      const { diffId, images: names, damage, entries } = verdict;
      const head = `${shortId(diffId)}  ${names.map(familiar).join(", ")}`;
      if (damage === "" && parsed.flag("quiet")) continue;
      await print(context, `${head}  ${damage === "" ? "sound" : `DAMAGED: ${damage}`}\n`);
      if (damage === "") continue;
      damaged++;
      for (const { path, what } of entries) await print(context, `    ${JSON.stringify(path)} ${what}\n`);
    }
    return null;
  });
  if (damaged > 0) await print(context, "run berth image repair to fetch what is damaged again\n");
  return damaged > 0 ? 1 : code;
}
