// The hook files of the configured directories.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, wrapError } from "../lib/errors.ts";
import { namesIn } from "../lib/optional-file.ts";
import { type HookFile, parseHookFile } from "./hook-file.ts";

const MAX_FILE_BYTES = 64 * 1024;

/**
 * Every "*.json" of the directories, by file name; one in a later directory takes the place of one of the
 * same name. A missing directory holds none. FAILED_PRECONDITION, naming the file, for one that is malformed:
 * a hook that is left out may be one that confines.
 */
export async function readHooks(directories: readonly string[]): Promise<HookFile[]> {
  const paths = new Map<string, string>();
  for (const directory of directories) {
    for (const name of await hooksIn(directory)) paths.set(name, join(directory, name));
  }
  const sorted = [...paths].sort(([a], [b]) => (a < b ? -1 : 1));
  return await Promise.all(sorted.map(([, path]) => readOne(path)));
}

async function hooksIn(directory: string): Promise<string[]> {
  try {
    return (await namesIn(directory)).filter((name) => name.endsWith(".json"));
  } catch (error) {
    throw wrapError(`read hook directory "${directory}"`, error);
  }
}

async function readOne(path: string): Promise<HookFile> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) {
      throw new BerthError("FAILED_PRECONDITION", `${size} bytes are more than ${MAX_FILE_BYTES}`);
    }
    text = await readFile(path, "utf8");
  } catch (error) {
    throw wrapError(`read hook file "${path}"`, error);
  }
  return parseHookFile(path, text);
}
