// The database's write-ahead log as a file. SQLite syncs it on the thread that commits, which is the event
// loop's; here it is synced beside that. A commit is on disk when its frames are: that they follow the frames
// before is what SQLite checks when it reads the log again, and before it reuses the log it syncs the
// database.

import { closeSync, fdatasync, fstatSync, openSync, writeSync } from "node:fs";

/** What SQLite fills before it begins anew at its default, 1000 pages of 4 KiB with their headers. */
const SIZE = 4 * 1024 * 1024;

const CLOSED = -1;

type Datasync = (fd: number, done: (error: Error | null) => void) => void;

export class WalFile {
  #fd: number;
  readonly #datasync: Datasync;
  /** The sync that began last, and the one that begins when it has ended. */
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** Opens the log of a database that is open, and which nobody writes to while this runs. */
  constructor(database: string, datasync: Datasync = fdatasync) {
    this.#datasync = datasync;
    this.#fd = openSync(`${database}-wal`, "r+");
    this.#extend();
  }

  /**
   * Gives the file its blocks: to sync a write into them takes half as long as one that makes the file grow.
   * SQLite takes zeroes for what they are, the end of the log. Where there is no room it grows as it may.
   */
  #extend(): void {
    const { size } = fstatSync(this.#fd);
    if (size >= SIZE) return;
    try {
      writeSync(this.#fd, Buffer.alloc(SIZE - size), 0, SIZE - size, size);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }

  /** Resolves when what is in the file now is on disk. Calls at the same time share a sync. */
  sync(): Promise<void> {
    if (this.#fd === CLOSED) return Promise.reject(new Error("it is closed"));
    if (this.#next !== null) return this.#next;
    if (this.#running === null) return this.#begin();
    // The one in progress may have begun before the caller's commit.
    const begin = () => {
      this.#next = null;
      return this.#begin();
    };
    this.#next = this.#running.then(begin, begin);
    return this.#next;
  }

  #begin(): Promise<void> {
    const running = new Promise<void>((resolve, reject) => {
      this.#datasync(this.#fd, (error) => {
        if (this.#running === running) this.#running = null;
        if (error === null) resolve();
        else reject(error);
      });
    });
    this.#running = running;
    return running;
  }

  close(): void {
    closeSync(this.#fd);
    this.#fd = CLOSED;
  }
}
