// Opens the one database of the daemon: WAL, one writer, migrations by user_version.

import Database from "better-sqlite3";
import { BerthError } from "../lib/errors.ts";
import { migrations } from "./schema.ts";

export type Store = Database.Database;

/** Opens or makes the database at `path` (":memory:" in tests) and brings its schema up to date. */
export function openStore(path: string): Store {
  const store = new Database(path);
  store.pragma("journal_mode = WAL");
  store.pragma("synchronous = NORMAL");
  store.pragma("foreign_keys = ON");
  store.pragma("busy_timeout = 0");
  migrate(store, path);
  return store;
}

function migrate(store: Store, path: string): void {
  const version = store.pragma("user_version", { simple: true }) as number;
  if (version > migrations.length) {
    store.close();
    throw new BerthError(
      "FAILED_PRECONDITION",
      `open database "${path}": its schema is version ${version}, ` +
        `this berthd knows up to ${migrations.length}; run a newer berthd`,
    );
  }
  for (let next = version; next < migrations.length; next++) {
    store.transaction(() => {
      store.exec(migrations[next] as string);
      store.pragma(`user_version = ${next + 1}`);
    })();
  }
}
