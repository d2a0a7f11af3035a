// Files and names that a power cut does not take back.

import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { wrapError } from "./errors.ts";

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } catch (error) {
    // Node names no path in the errors of open files.
    throw wrapError(`sync directory "${path}"`, error);
  } finally {
    await directory.close();
  }
}

/**
 * Writes `path` as a whole: whoever looks, also after a power cut, finds the old content or the new one.
 * `temporary` is a path on the same file system that nothing else uses.
 */
export async function replaceFile(path: string, temporary: string, content: string): Promise<void> {
  try {
    const file: FileHandle = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}
