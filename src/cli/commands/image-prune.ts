import type { Parsed } from "../arguments/options.ts";
import { readSince } from "../arguments/quantities.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";
import { confirm } from "../confirm.ts";
import { UsageError } from "../errors.ts";
import { humanSize } from "../format/quantities.ts";
import { familiar } from "../format/references.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [
    {
      name: "all",
      short: "a",
      kind: "flag",
      help: "All images that no container uses, not only those without a name",
    },
    { name: "force", short: "f", kind: "flag", help: "Do not ask" },
    { name: "filter", kind: "list", value: "filter", help: '"until=24h": only images unused for so long' },
  ],
  arity: [0, 0],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const all = parsed.flag("all");
  const unusedSeconds = BigInt(Math.max(0, ...parsed.list("filter").map(secondsOf)));
  const which = all ? "all images that no container uses" : "all images that nobody named";
  const go = parsed.flag("force") || (await confirm(context, `This removes ${which}. Go on?`));
  if (!go) return 1;
  const channel = await context.channel();
  const { images, freedBytes, failures } = await channel.unary(methods.pruneImages, { all, unusedSeconds });
  for (const { imageId, references } of images) {
    const lines = references.map((reference) => `untagged: ${familiar(reference)}\n`);
    await print(context, `${lines.join("")}deleted: ${imageId}\n`);
  }
  await print(context, `Total reclaimed space: ${humanSize(Number(freedBytes))}\n`);
  for (const failure of failures) complain(context.stderr, failure);
  return failures.length > 0 ? 1 : 0;
}

function secondsOf(filter: string): number {
  const age = /^until=(.+)$/.exec(filter)?.[1];
  if (age === undefined) throw new UsageError(`--filter "${filter}": must be until= and an age such as 24h`);
  const now = Date.now();
  return Math.max(0, Math.floor(now / 1000 - Number(readSince(age, now) / 1_000_000_000n)));
}
