// Prepared statements, compiled once per store: preparing costs more than running a small one.

import type { Statement } from "better-sqlite3";
import type { Store } from "./open.ts";

const prepared = new WeakMap<Store, Map<string, Statement<unknown[], unknown>>>();

/**
 * The statement of `sql`, compiled at its first use. `sql` must be a constant: every text is kept. `Row` is
 * what it yields, as the schema says.
 */
export function statement<Row = unknown>(store: Store, sql: string): Statement<unknown[], Row> {
  let ofStore = prepared.get(store);
  if (ofStore === undefined) {
    ofStore = new Map();
    prepared.set(store, ofStore);
  }
  let found = ofStore.get(sql);
  if (found === undefined) {
    found = store.prepare<unknown[], unknown>(sql);
    ofStore.set(sql, found);
  }
  return found as Statement<unknown[], Row>;
}
