import { mkdir, open, readdir, rm } from "node:fs/promises";
import { messageOf } from "../../lib/errors.ts";
import type { Parsed } from "../arguments/options.ts";
import type { Channel } from "../client/channel.ts";
import * as methods from "../client/methods.ts";
import { type Command, type Context, writeTo } from "../command.ts";
import { CliError, UsageError } from "../errors.ts";

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
  if (path === undefined && context.stdout.isTTY) {
    throw new UsageError("not writing a tar to the terminal: name a file with -o, or pipe it");
  }
  const channel = await context.channel();
  const tar = bytesOf(channel, parsed.positional, format === "docker" ? "docker" : "oci");
  if (path === undefined) for await (const data of tar) await writeTo(context.stdout, data);
  else if (format === "oci-dir") await saveDirectory(path, tar);
  else await saveFile(path, tar);
  return 0;
}

async function* bytesOf(channel: Channel, references: string[], format: string): AsyncGenerator<Uint8Array> {
  for await (const { data } of channel.stream(methods.saveImage, { references, format })) yield data;
}

/** A file that was not written whole is removed. */
async function saveFile(path: string, tar: AsyncIterable<Uint8Array>): Promise<void> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    for await (const data of tar) {
      file ??= await openFile(path);
      await file.writeFile(data);
    }
  } catch (error) {
    await file?.close();
    if (file !== undefined) await rm(path, { force: true });
    throw error;
  }
  await file?.close();
}

/** Opened with the first byte: what the daemon refuses leaves an older file alone. */
async function openFile(path: string) {
  try {
    return await open(path, "w");
  } catch (error) {
    throw new CliError(`open "${path}": ${messageOf(error)}`);
  }
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
