import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../lib/errors.ts";
import type { Paths } from "../paths.ts";

/** Makes a container's writable snapshot: "u" (upper, 0755) and "w" (work, 0700). Existing ones are fine. */
export async function makeSnapshot(deps: { readonly paths: Paths }, number: number): Promise<void> {
  const path = deps.paths.snapshot(number);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await makeDirectory(join(path, "u"), 0o755);
  await makeDirectory(join(path, "w"), 0o700);
}

/** mkdir is cut by the umask; the upper directory's mode is that of the container's "/". */
async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  await chmod(path, mode);
}
