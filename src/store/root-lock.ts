// One daemon per directory. The lock is a SQLite file lock, which the kernel releases with the process,
// however that ends: nothing is left to clean up after a kill -9.

import { join } from "node:path";
import Database from "better-sqlite3";
import { BerthError } from "../lib/errors.ts";

/** Time for a predecessor that is just ending. */
const PATIENCE_MS = 2_000;

export interface DirectoryLock {
  release(): void;
}

/** Locks `directory`, which exists. FAILED_PRECONDITION when another daemon has it. */
export function lockDirectory(directory: string, patienceMs = PATIENCE_MS): DirectoryLock {
  const file = new Database(join(directory, "lock"));
  try {
    file.pragma(`busy_timeout = ${patienceMs}`);
    // Nothing is ever written: the transaction stays open for as long as the process lives.
    file.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    file.close();
    if (!isBusy(error)) throw error;
    throw new BerthError(
      "FAILED_PRECONDITION",
      `another berthd uses "${directory}"; stop it, or start this one with other --root and --state`,
    );
  }
  return { release: () => file.close() };
}

function isBusy(error: unknown): boolean {
  return String((error as { code?: unknown } | null)?.code).startsWith("SQLITE_BUSY");
}
