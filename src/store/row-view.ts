// Rows of a table as lists show them, kept in memory for as long as they are in the database. There may be
// thousands, most of them ended long ago, and lists are asked for every second: to read and parse them each
// time takes longer than all else that a list does. Temporary triggers tell which rows changed, whoever
// changed them and however; only those are read anew. No change is looked at before its transaction has
// ended, so one that was rolled back does no harm: its rows are read in vain.

import { inTurns, nextTurn } from "../lib/turns.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

/** A change that makes rows stale. */
export interface Trigger {
  /** Such as "AFTER DELETE ON main.pods". */
  readonly when: string;
  /** SELECT of the ids that are stale then; may name OLD and NEW. */
  readonly stale: string;
}

export interface ViewSource<Row> {
  readonly table: string;
  readonly triggers: readonly Trigger[];
  /** The row as it is now; null when lists do not show it. */
  readonly read: (store: Store, id: string) => Row | null;
  readonly order: (a: Row, b: Row) => number;
}

/** Ids per query of the first look. */
const PAGE = 500;
/** So many stale rows are read anew although nobody asks: their ids, too, are memory. */
const MOST_STALE = 1_000;

export class RowView<Row> {
  readonly #store: Store;
  readonly #source: ViewSource<Row>;
  readonly #rows = new Map<string, Row>();
  readonly #stale = new Set<string>();
  /** Null: rows came, went or changed since it was made. */
  #sorted: readonly Row[] | null = null;
  #catchingUp: Promise<void> | null = null;
  /** Id up to which the first look has come; null when it is over. */
  #looked: string | null = "";

  constructor(store: Store, source: ViewSource<Row>) {
    this.#store = store;
    this.#source = source;
    const note = `note_stale_${source.table}`;
    store.function(note, { deterministic: false }, (id) => {
      this.#stale.add(String(id));
      if (this.#stale.size === MOST_STALE) this.#catchUpSoon();
      return null;
    });
    for (const [index, { when, stale }] of source.triggers.entries()) {
      store.exec(
        `CREATE TEMP TRIGGER ${note}_${index} ${when} BEGIN SELECT ${note}(id) FROM (${stale}); END`,
      );
    }
  }

  /**
   * All rows that lists show, in their order, as they were at one instant between the call and its answer:
   * the one in which nothing was left to be read anew. The array and its rows never change; a row that did
   * not change since the last list is the same object again.
   */
  async all(): Promise<readonly Row[]> {
    while (this.#looked !== null || this.#stale.size > 0) {
      this.#catchingUp ??= this.#catchUp().finally(() => {
        this.#catchingUp = null;
      });
      await this.#catchingUp;
    }
    this.#sorted ??= [...this.#rows.values()].sort(this.#source.order);
    return this.#sorted;
  }

  /** Not now: a statement is running. What fails here fails for who asks next, too, and is told there. */
  #catchUpSoon(): void {
    setImmediate(() => this.all().catch(() => {}));
  }

  async #catchUp(): Promise<void> {
    if (this.#looked !== null) {
      await nextTurn();
      this.#look(this.#looked);
    }
    // What becomes stale meanwhile is met too: a set is walked to its present end.
    await inTurns(this.#stale, (id) => {
      const row = this.#source.read(this.#store, id);
      this.#stale.delete(id);
      this.#sorted = null;
      if (row === null) this.#rows.delete(id);
      else this.#rows.set(id, row);
    });
  }

  #look(after: string): void {
    const sql = `SELECT id FROM ${this.#source.table} WHERE id > ? ORDER BY id LIMIT ${PAGE}`;
    const page = statement<{ id: string }>(this.#store, sql).all(after);
    for (const { id } of page) this.#stale.add(id);
    this.#looked = page.at(-1)?.id ?? null;
  }
}
