// Room that images leave to others: whoever has to fail for want of it shall be the image that does not fit.

import { statfs } from "node:fs/promises";
import { BerthError } from "./errors.ts";

const mostBytes = 1024 ** 3;

/**
 * RESOURCE_EXHAUSTED when less than one part in a hundred (at most a gibibyte) of the file system that holds
 * `path` is free. The unpacker keeps the same for itself (addon/kernel/pipeline.cc).
 */
export async function requireDiskRoom(path: string): Promise<void> {
  const { blocks, bavail, bsize } = await statfs(path);
  if (blocks === 0 || bavail >= Math.floor(Math.min(blocks / 100, mostBytes / bsize))) return;
  throw new BerthError("RESOURCE_EXHAUSTED", `the disk of "${path}" is nearly full: ENOSPC`);
}
