import type { Parsed } from "../arguments/options.ts";
import type { Channel } from "../client/channel.ts";
import * as methods from "../client/methods.ts";
import type { Command, Context } from "../command.ts";
import { refuseTerminal, writeTar } from "../tar-output.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER",
  options: [
    {
      name: "output",
      short: "o",
      kind: "text",
      value: "string",
      help: "Write to a file (default: standard output)",
    },
  ],
  arity: [1, 1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const path = parsed.text("output");
  refuseTerminal(context, path);
  const channel = await context.channel();
  const [container = ""] = parsed.positional;
  const { containerId } = await channel.unary(methods.resolve, { container });
  await writeTar(context, bytesOf(channel, containerId), path);
  return 0;
}

async function* bytesOf(channel: Channel, containerId: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of channel.stream(methods.exportContainer, { containerId })) yield data;
}
