// Commits that are on disk before something else happens. An ordinary commit may be lost in a power cut.

import { wrapError } from "../lib/errors.ts";
import { type Store, walOf } from "./open.ts";

/**
 * Runs `work` in one transaction that is on disk when this returns, and with it all commits before. The event
 * loop waits for the disk: for work that is rare, and whose caller must not be interrupted.
 */
export function durably<T>(store: Store, work: () => T): T {
  store.pragma("synchronous = FULL");
  try {
    return store.transaction(work)();
  } finally {
    store.pragma("synchronous = NORMAL");
  }
}

/** Resolves when every commit until now is on disk; the event loop goes on meanwhile. */
export async function onDisk(store: Store): Promise<void> {
  try {
    await walOf(store)?.sync();
  } catch (error) {
    throw wrapError(`sync the log of the database "${store.name}"`, error);
  }
}
