// The database at start-up. When it cannot be read, it is set aside together with what containers wrote:
// their rows are gone, so the reconciler would remove those directories as orphans.

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Logger } from "../lib/call.ts";
import type { Paths } from "../paths.ts";
import { openOrSetAside, type Store } from "../store/open.ts";

export function openState(paths: Paths, log: Logger): Store {
  const { store, setAside } = openOrSetAside(paths.database, paths.lost);
  if (setAside === null) return store;
  const { directory, reason } = setAside;
  const snapshots = dirname(paths.snapshot(0));
  if (existsSync(snapshots)) renameSync(snapshots, join(directory, "containers"));
  mkdirSync(snapshots, { mode: 0o700 });
  log.error(
    { database: paths.database, reason, directory },
    "the database cannot be read: it was set aside with what containers had written; pods and containers " +
      "are forgotten, images are known again from their records; remove the directory when it is not needed",
  );
  return store;
}
