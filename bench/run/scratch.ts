// A fresh, journaled ext4 in a loop file: what the machine's own root file system did before does not count,
// and what the benchmark writes is gone with one unmount. The loop device goes past the cache of the file
// below it (direct I/O), as a disk would: otherwise everything is cached twice, and nothing reaches the disk
// before a sync.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cleanup, runProgram } from "./cleanup.ts";

const SIZE = 4 * 1024 ** 3;

/** Returns the mount point, "/tmp/berth-bench-XXXXXX/fs". */
export async function makeScratch(cleanup: Cleanup): Promise<string> {
  const folder = mkdtempSync("/tmp/berth-bench-");
  // Root of a pod's user namespace passes it on its way to its mounts.
  chmodSync(folder, 0o711);
  const image = join(folder, "ext4.img");
  const mountPoint = join(folder, "fs");
  let device = "";
  let mounted = false;
  cleanup.add("remove the scratch file system", async () => {
    if (mounted) await runProgram("umount", [mountPoint]);
    if (device !== "") await runProgram("losetup", ["--detach", device]);
    rmSync(folder, { recursive: true });
  });
  writeFileSync(image, "");
  truncateSync(image, SIZE);
  mkdirSync(mountPoint);
  await runProgram("mkfs.ext4", ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image]);
  const options = ["--direct-io=on", "--find", "--show", image];
  device = (await runProgram("losetup", options)).trim();
  await runProgram("mount", [device, mountPoint]);
  mounted = true;
  return mountPoint;
}
