// Where a command writes a tar: a file, or the standard output unless that is a terminal.

import { open, rm } from "node:fs/promises";
import { messageOf } from "../lib/errors.ts";
import { type Context, writeTo } from "./command.ts";
import { CliError, UsageError } from "./errors.ts";

/** @throws UsageError */
export function refuseTerminal(context: Context, path: string | undefined): void {
  if (path !== undefined || !context.stdout.isTTY) return;
  throw new UsageError("not writing a tar to the terminal: name a file with -o, or pipe it");
}

/** Writes the tar to the file, or to the standard output when there is no path. @throws CliError */
export async function writeTar(
  context: Context,
  tar: AsyncIterable<Uint8Array>,
  path: string | undefined,
): Promise<void> {
  if (path !== undefined) await writeFile(path, tar);
  else for await (const data of tar) await writeTo(context.stdout, data);
}

/** A file that was not written whole is removed. */
async function writeFile(path: string, tar: AsyncIterable<Uint8Array>): Promise<void> {
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
