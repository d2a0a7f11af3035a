import { messageOf } from "../../lib/errors.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  options: [
    {
      name: "type",
      kind: "text",
      value: "string",
      help: '"container", "pod" or "image" (default: the first found)',
    },
  ],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const type = parsed.text("type") ?? "";
  const channel = await context.channel();
  const found: unknown[] = [];
  let failed = 0;
  for (const name of parsed.positional) {
    try {
      found.push(JSON.parse((await channel.unary(methods.inspect, { type, name })).json));
    } catch (error) {
      failed++;
      complain(context.stderr, messageOf(error));
    }
  }
  await print(context, `${JSON.stringify(found, null, 4)}\n`);
  return failed > 0 ? 1 : 0;
}
