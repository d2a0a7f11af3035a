// The writable part of a container's root.

import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kernel } from "./fixture.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-snapshot-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const modeOf = (path: string) => statSync(path).mode & 0o7777;

test("both directories, whatever the umask, and twice", async () => {
  const path = join(root, "11");
  const before = process.umask(0o077);
  await kernel.makeSnapshot(path).finally(() => process.umask(before));
  expect([path, join(path, "u"), join(path, "w")].map(modeOf)).toEqual([0o700, 0o755, 0o700]);
  writeFileSync(join(path, "u/kept"), "");
  await kernel.makeSnapshot(path);
  expect(statSync(join(path, "u/kept")).isFile()).toBe(true);
});

test("follows no link, and says what is in the way", async () => {
  const path = join(root, "11");
  mkdirSync(path);
  mkdirSync(join(root, "elsewhere"), { mode: 0o711 });
  symlinkSync(join(root, "elsewhere"), join(path, "u"));
  const failure = { step: "openat", errno: "ENOTDIR", path: join(path, "u") };
  await expect(kernel.makeSnapshot(path)).rejects.toMatchObject(failure);
  expect(modeOf(join(root, "elsewhere"))).toBe(0o711);
  const orphan = { step: "mkdirat", errno: "ENOENT" };
  await expect(kernel.makeSnapshot(join(root, "none/11"))).rejects.toMatchObject(orphan);
});
