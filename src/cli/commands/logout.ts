import { forgetCredentials } from "../../credentials/keep-credentials.ts";
import type { Parsed } from "../arguments/options.ts";
import { type Command, type Context, print } from "../command.ts";
import { configPath } from "../registry-credentials.ts";
import { serverOf } from "./login.ts";

export const command: Command = { usage: "[SERVER]", options: [], arity: [0, 1], run };

async function run(context: Context, parsed: Parsed): Promise<number> {
  const server = serverOf(parsed.positional[0] ?? "docker.io");
  const had = await forgetCredentials(configPath(context.env), server);
  await print(context, had ? `Removed the login for ${server}\n` : `Not logged in to ${server}\n`);
  return 0;
}
