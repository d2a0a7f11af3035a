// Files and directories that need not be there.

import { readdir, readFile } from "node:fs/promises";
import { errnoOf } from "./errors.ts";

/** The text of a file, or null when it is missing. */
export async function readOptional(path: string): Promise<string | null> {
  return await orWhenMissing(readFile(path, "utf8"), null);
}

/** The names in a directory; none when it is missing. */
export async function namesIn(directory: string): Promise<string[]> {
  return await orWhenMissing(readdir(directory), []);
}

async function orWhenMissing<T>(reading: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return otherwise;
    throw error;
  }
}
