// Room for deleting when there is none: a file that is given up on a full disk, since to delete a row takes
// room as well.

import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "../lib/errors.ts";
import type { Paths } from "../paths.ts";

const reserveBytes = 1024 * 1024;

export class DiskReserve {
  readonly #path: string;

  constructor(paths: Pick<Paths, "root">) {
    this.#path = join(paths.root, "reserve");
  }

  /** Writes the file unless it is there. On a disk that is full already there is nothing to reserve. */
  async fill(): Promise<void> {
    let complete = false;
    try {
      const file = await open(this.#path, "wx", 0o600);
      try {
        await file.writeFile(Buffer.alloc(reserveBytes));
        complete = true;
      } finally {
        await file.close();
        if (!complete) await rm(this.#path, { force: true });
      }
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== "EEXIST" && codeOf(error) !== "RESOURCE_EXHAUSTED") throw error;
    }
  }

  /** Does `work`, which deletes; when the disk is full, once more with the reserve given up. */
  async deleting<T>(work: () => T): Promise<T> {
    try {
      return work();
    } catch (error) {
      if (codeOf(error) !== "RESOURCE_EXHAUSTED") throw error;
      await rm(this.#path, { force: true });
      return work();
    }
  }
}
