import { messageOf } from "../../lib/errors.ts";
import { version } from "../../lib/version.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  options: [{ name: "format", kind: "text", value: "string", help: '"json" for JSON' }],
  arity: [0, 0],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const client = { Version: version, Node: process.version };
  let server: Record<string, string> | null = null;
  let failure = "";
  try {
    const channel = await context.channel();
    const [about, cri] = await Promise.all([
      channel.unary(methods.info, {}),
      channel.unary(methods.version, { version: "v1" }),
    ]);
    server = {
      Version: about.version,
      Node: about.nodeVersion,
      CRI: cri.runtimeApiVersion,
      Kernel: about.kernelRelease,
    };
  } catch (error) {
    failure = messageOf(error);
  }
  if (parsed.text("format") === "json") {
    await print(context, `${JSON.stringify({ Client: client, Server: server })}\n`);
  } else {
    await print(context, block("Client", client) + (server === null ? "" : `\n${block("Server", server)}`));
  }
  if (server !== null) return 0;
  complain(context.stderr, failure);
  return 1;
}

function block(title: string, fields: Record<string, string>): string {
  const lines = Object.entries(fields).map(([key, value]) => ` ${`${key}:`.padEnd(10)}${value}\n`);
  return `${title}:\n${lines.join("")}`;
}
