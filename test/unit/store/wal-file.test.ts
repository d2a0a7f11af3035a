import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { onDisk } from "../../../src/store/durable.ts";
import { openStore, type Store } from "../../../src/store/open.ts";
import { WalFile } from "../../../src/store/wal-file.ts";

let folder: string;
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-wal-"));
  store = openStore(join(folder, "berth.db"));
  store.exec("CREATE TABLE notes (text TEXT)");
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

/** A log whose syncs end when the test says so, in the order of asking. */
function heldLog() {
  const syncs: ((error: Error | null) => void)[] = [];
  const log = new WalFile(join(folder, "berth.db"), (_fd, done) => syncs.push(done));
  onTestFinished(() => log.close());
  return { log, syncs };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a commit is on disk when a sync has ended that began after it", async () => {
  const { log, syncs } = heldLog();
  const done: string[] = [];
  const wait = (name: string) => log.sync().then(() => done.push(name));
  const waits = [wait("first"), wait("second"), wait("third")];
  expect(syncs).toHaveLength(1);
  syncs[0]?.(null);
  await turn();
  expect([done, syncs.length]).toEqual([["first"], 2]);
  waits.push(wait("fourth"));
  syncs[1]?.(null);
  await turn();
  expect([done, syncs.length]).toEqual([["first", "second", "third"], 3]);
  syncs[2]?.(null);
  await Promise.all(waits);
  waits.push(wait("fifth"));
  expect(syncs).toHaveLength(4);
  syncs[3]?.(null);
  await Promise.all(waits);
});

test("a sync that fails is told to those who waited for it, and only to them", async () => {
  const { log, syncs } = heldLog();
  const [first, second] = [log.sync(), log.sync()];
  syncs[0]?.(new Error("EIO"));
  await expect(first).rejects.toThrow("EIO");
  syncs[1]?.(null);
  await second;
});

test("an open store syncs, one in memory has nothing to sync, one that is closed says so", async () => {
  await onDisk(store);
  const memory = openStore(":memory:");
  await onDisk(memory);
  memory.close();
  store.close();
  await expect(onDisk(store)).rejects.toThrow(/^sync the log of the database ".*berth.db": it is closed$/);
});

test("the log has its blocks from the start, and what is in it is found again", () => {
  const wal = join(folder, "berth.db-wal");
  const { size, blocks } = statSync(wal);
  expect(size).toBe(4 * 1024 * 1024);
  expect(blocks * 512).toBeGreaterThanOrEqual(size);
  store.exec("INSERT INTO notes VALUES ('kept')");
  // What a machine leaves that was reset: nothing was checkpointed or closed.
  const copy = join(folder, "copy.db");
  for (const suffix of ["", "-wal"]) copyFileSync(join(folder, `berth.db${suffix}`), copy + suffix);
  expect(statSync(wal).size).toBe(size);
  const again = openStore(copy);
  expect(again.prepare("SELECT text FROM notes").all()).toEqual([{ text: "kept" }]);
  again.exec("INSERT INTO notes VALUES ('added')");
  again.close();
  expect(readFileSync(copy).includes("added")).toBe(true);
});

test("a log of zeroes alone is an empty one", () => {
  store.close();
  const path = join(folder, "berth.db");
  openStore(path).close();
  store = openStore(path);
  const wal = readFileSync(`${path}-wal`);
  const copy = join(folder, "copy.db");
  copyFileSync(path, copy);
  copyFileSync(`${path}-wal`, `${copy}-wal`);
  expect(wal.every((byte) => byte === 0)).toBe(true);
  const again = openStore(copy);
  expect(again.prepare("SELECT count(*) AS count FROM notes").get()).toEqual({ count: 0 });
  again.close();
});
