import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openOrSetAside } from "../../../src/store/open.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-open-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () => openOrSetAside(join(folder, "berth.db"), join(folder, "lost"));

it("opens what is whole, again and again", () => {
  for (let times = 0; times < 2; times++) {
    const { store, setAside } = open();
    expect(setAside).toBeNull();
    store.close();
  }
});

it.each([
  ["no database at all", () => Buffer.alloc(8192, "x")],
  [
    "one whose inner pages are noise",
    (whole: Buffer) => Buffer.concat([whole.subarray(0, 100), noise(whole)]),
  ],
])("sets %s aside, with every byte", (_, damage) => {
  const { store } = open();
  store.pragma("wal_checkpoint(TRUNCATE)");
  store.close();
  const path = join(folder, "berth.db");
  const damaged = damage(readFileSync(path));
  writeFileSync(path, damaged);
  const opened = open();
  expect(opened.setAside).not.toBeNull();
  expect(readFileSync(join(opened.setAside?.directory ?? "", "berth.db")).equals(damaged)).toBe(true);
  opened.store.close();
  const again = open();
  expect(again.setAside).toBeNull();
  again.store.close();
  expect(readdirSync(join(folder, "lost"))).toHaveLength(1);
});

it("leaves alone what a newer daemon wrote", () => {
  const { store } = open();
  store.pragma("user_version = 1000");
  store.close();
  expect(open).toThrow("run a newer berthd");
  expect(readdirSync(folder)).not.toContain("lost");
});

function noise(whole: Buffer): Buffer {
  const bytes = Buffer.alloc(whole.length - 100);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31 + 7) % 251;
  return bytes;
}
