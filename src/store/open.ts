// The database: opened and brought up to date, or set aside when it cannot be read.

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import Database from "better-sqlite3";
import { BerthError, messageOf } from "../lib/errors.ts";
import { migrations } from "./schema.ts";
import { WalFile } from "./wal-file.ts";

export type Store = Database.Database;

const wals = new WeakMap<Store, WalFile>();

/** Null for a store in memory. */
export function walOf(store: Store): WalFile | null {
  return wals.get(store) ?? null;
}

/** Opens or makes the database at `path` (":memory:" in tests) and brings its schema up to date. */
export function openStore(path: string): Store {
  const store = new Database(path);
  try {
    store.pragma("journal_mode = WAL");
    store.pragma("synchronous = NORMAL");
    store.pragma("foreign_keys = ON");
    store.pragma("busy_timeout = 0");
    // Rows are read one by one, by key: what lists show of them is in memory anyway.
    store.pragma("cache_size = -4096");
    // Holds triggers alone, which a full disk must not keep away.
    store.pragma("temp_store = MEMORY");
    migrate(store, path);
    if (!store.memory) openWal(store, path);
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

/** It is closed together with the store, which then removes the file. */
function openWal(store: Store, path: string): void {
  const wal = new WalFile(path);
  const close = store.close.bind(store);
  store.close = () => {
    if (store.open) wal.close();
    return close();
  };
  wals.set(store, wal);
}

export interface OpenedStore {
  readonly store: Store;
  /** Null when all is well; else where the database that could not be read lies now, and why. */
  readonly setAside: { readonly directory: string; readonly reason: string } | null;
}

/**
 * As openStore; a damaged database is moved to a new directory below `lost`, never deleted, and an empty one
 * takes its place. What cannot be read because of the device (SQLITE_IOERR), or because a newer berthd wrote
 * it, is not damaged: that throws.
 */
export function openOrSetAside(path: string, lost: string): OpenedStore {
  try {
    const store = openStore(path);
    const verdict = checked(store);
    if (verdict === "ok") return { store, setAside: null };
    store.close();
    return startAfresh(path, lost, verdict);
  } catch (error) {
    if (!isDamaged(error)) throw error;
    return startAfresh(path, lost, messageOf(error));
  }
}

/** "ok", or the first thing that is wrong. */
function checked(store: Store): string {
  const [first] = store.pragma("quick_check(1)") as { quick_check: string }[];
  return first?.quick_check ?? "ok";
}

function isDamaged(error: unknown): boolean {
  const code = String((error as { code?: unknown } | null)?.code);
  return code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB";
}

function startAfresh(path: string, lost: string, reason: string): OpenedStore {
  const directory = join(lost, new Date().toISOString().replaceAll(":", "-"));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // The journal belongs to the database: beside a new one it would be played into that.
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    if (existsSync(file)) renameSync(file, join(directory, basename(file)));
  }
  return { store: openStore(path), setAside: { directory, reason } };
}

function migrate(store: Store, path: string): void {
  const version = store.pragma("user_version", { simple: true }) as number;
  if (version > migrations.length) {
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
