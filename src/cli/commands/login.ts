import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { keepCredentials } from "../../credentials/keep-credentials.ts";
import type { RegistryAuth } from "../../gen/berth/v1/engine.ts";
import type { Parsed } from "../arguments/options.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, print } from "../command.ts";
import { complain } from "../complain.ts";
import { UsageError } from "../errors.ts";
import { configPath } from "../registry-credentials.ts";

export const command: Command = {
  usage: "[OPTIONS] [SERVER]",
  options: [
    { name: "username", short: "u", kind: "text", value: "string", help: "User name" },
    {
      name: "password",
      short: "p",
      kind: "text",
      value: "string",
      help: "Password or token (others see it in the list of processes)",
    },
    { name: "password-stdin", kind: "flag", help: "Read the password from the standard input" },
  ],
  arity: [0, 1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const server = serverOf(parsed.positional[0] ?? "docker.io");
  const username = parsed.text("username") ?? (await ask(context, "Username: ", false));
  const password = await passwordOf(context, parsed);
  if (username === "" || password === "") throw new UsageError("a user name and a password are needed");
  const auth: RegistryAuth = {
    username,
    password,
    auth: "",
    serverAddress: "",
    identityToken: "",
    registryToken: "",
  };
  const channel = await context.channel();
  await channel.unary(methods.checkLogin, { registry: server, auth });
  const path = configPath(context.env);
  const kept = await keepCredentials(path, server, auth);
  if (kept === path) {
    complain(context.stderr, `the password is kept in "${path}", readable for you and root; see credsStore`);
  }
  await print(context, "Login Succeeded\n");
  return 0;
}

/** "https://reg.example/v2/" as people write it is the host "reg.example". */
export function serverOf(text: string): string {
  const host = text.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host;
}

async function passwordOf(context: Context, parsed: Parsed): Promise<string> {
  const given = parsed.text("password");
  if (!parsed.flag("password-stdin")) return given ?? (await ask(context, "Password: ", true));
  if (given !== undefined) throw new UsageError("--password and --password-stdin are two ways: take one");
  if (parsed.text("username") === undefined) throw new UsageError("--password-stdin needs --username");
  let text = "";
  for await (const chunk of context.stdin) text += String(chunk);
  return text.replace(/\r?\n$/, "");
}

/** Asks on the terminal; what is secret is not shown. */
async function ask(context: Context, question: string, isSecret: boolean): Promise<string> {
  if (!context.stdin.isTTY)
    throw new UsageError("no terminal to ask on: give --username and --password-stdin");
  context.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const output = isSecret ? silent : context.stderr;
  const lines = createInterface({ input: context.stdin, output, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
    if (isSecret) context.stderr.write("\n");
  }
}
