// Commits that a change outside the database follows.

import type { Store } from "./open.ts";

/**
 * Runs `work` in one transaction that is on disk when this returns, and with it all commits before. An
 * ordinary commit may be lost in a power cut.
 */
export function durably<T>(store: Store, work: () => T): T {
  store.pragma("synchronous = FULL");
  try {
    return store.transaction(work)();
  } finally {
    store.pragma("synchronous = NORMAL");
  }
}
