// SELinux labels of a tree. Without SELinux the kernel keeps them like any attribute, which is enough to see
// which files have got one.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kernel } from "./fixture.ts";

const LABEL = "system_u:object_r:container_file_t:s0:c1,c2";
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-label-"));
});
afterEach(() => {
  spawnSync("umount", ["-q", join(root, "volume/mounted")]);
  rmSync(root, { recursive: true });
});

function labelOf(path: string): string {
  const options = ["-h", "--absolute-names", "--only-values", "-n", "security.selinux"];
  const { stdout } = spawnSync("getfattr", [...options, path], { encoding: "utf8" });
  return stdout.replace(/\0$/, "");
}

test("files, directories and links of the volume, and nothing that they lead to", async () => {
  const volume = join(root, "volume");
  mkdirSync(join(volume, "deep/er"), { recursive: true });
  mkdirSync(join(volume, "mounted"));
  writeFileSync(join(volume, "deep/er/file"), "");
  writeFileSync(join(root, "outside"), "");
  symlinkSync(join(root, "outside"), join(volume, "link"));
  execFileSync("mkfifo", [join(volume, "fifo")]);
  execFileSync("mount", ["-t", "tmpfs", "none", join(volume, "mounted")]);
  writeFileSync(join(volume, "mounted/other"), "");
  await kernel.relabel(volume, LABEL);
  for (const name of ["", "deep", "deep/er", "deep/er/file", "link", "fifo"]) {
    expect([name, labelOf(join(volume, name))]).toEqual([name, LABEL]);
  }
  expect(labelOf(join(root, "outside"))).toBe("");
  expect(labelOf(join(volume, "mounted/other"))).toBe("");
});

test("a single file, and again with another label", async () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  await kernel.relabel(file, LABEL);
  await kernel.relabel(file, "u:r:t:s0");
  expect(labelOf(file)).toBe("u:r:t:s0");
});

test("a volume that is not there", async () => {
  await expect(kernel.relabel(join(root, "none"), LABEL)).rejects.toMatchObject({ errno: "ENOENT" });
});
