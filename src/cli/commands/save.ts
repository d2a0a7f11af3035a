import { mkdir, readdir } from "node:fs/promises";
import { messageOf } from "../../lib/errors.ts";
import type { Parsed } from "../arguments/options.ts";
import type { Channel } from "../client/channel.ts";
import * as methods from "../client/methods.ts";
import type { Command, Context } from "../command.ts";
import { CliError, UsageError } from "../errors.ts";
import { refuseTerminal, writeTar } from "../tar-output.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  options: [
    {
      name: "output",
      short: "o",
      kind: "text",
      value: "string",
      help: "Write to a file (default: standard output)",
    },
    {
      name: "format",
      kind: "text",
      value: "string",
      help:
        '"docker" (default): a tar for docker load, which is an OCI layout too; "oci": an OCI layout in a ' +
        'tar; "oci-dir": the same as a directory',
    },
  ],
  arity: [1],
  run,
};

async function run(context: Context, parsed: Parsed): Promise<number> {
  const format = parsed.text("format") ?? "docker";
  if (!["docker", "oci", "oci-dir"].includes(format)) {
    throw new UsageError(`invalid value "${format}" for --format: docker, oci or oci-dir`);
  }
  const path = parsed.text("output");
  if (path === undefined && format === "oci-dir") throw new UsageError("--format oci-dir needs --output");
  refuseTerminal(context, path);
  const channel = await context.channel();
  const tar = bytesOf(channel, parsed.positional, format === "docker" ? "docker" : "oci");
  if (format === "oci-dir") await saveDirectory(path as string, tar);
  else await writeTar(context, tar, path);
  return 0;
}

async function* bytesOf(channel: Channel, references: string[], format: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of channel.stream(methods.saveImage, { references, format })) yield data;
}

async function saveDirectory(path: string, tar: AsyncIterable<Uint8Array>): Promise<void> {
  const { unpackLayout } = await import("../layout-directory.ts");
  try {
    await mkdir(path, { recursive: true });
    if ((await readdir(path)).length > 0) throw new Error("it is not empty");
  } catch (error) {
    throw new CliError(`save to directory "${path}": ${messageOf(error)}`);
  }
  await unpackLayout(tar, path);
}
