// Looking into layers, and doing them harm, in whichever form they are.

import { closeSync, lstatSync, openSync, readSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { ImageDeps } from "../../../../src/images/deps.ts";

type Mounts = Pick<ImageDeps["kernel"], "mountLayer">;

/** Calls `use` with where the layers are for this process, and for those that it starts meanwhile. */
export async function withTrees<T>(
  kernel: Mounts,
  layers: readonly string[],
  use: (trees: string[]) => T | Promise<T>,
): Promise<T> {
  const mounts: number[] = [];
  try {
    const trees: string[] = [];
    for (const path of layers) {
      if (isImage(path)) mounts.push(await kernel.mountLayer(path));
      trees.push(isImage(path) ? `/proc/${process.pid}/fd/${mounts.at(-1)}` : path);
    }
    return await use(trees);
  } finally {
    for (const mount of mounts) closeSync(mount);
  }
}

/** The same of layers by number. */
export async function withLayers<T>(
  { kernel, paths }: Pick<ImageDeps, "kernel" | "paths">,
  numbers: readonly number[],
  use: (trees: string[]) => T | Promise<T>,
): Promise<T> {
  const layers = numbers.map((number) => paths.layer(number));
  return await withTrees(kernel, layers, use);
}

export function isImage(path: string): boolean {
  return lstatSync(path).isFile();
}

/** Where the parts of an image lie (addon/kernel/erofs_format.h). */
export function partsOf(path: string): { size: number; index: number } {
  const header = Buffer.alloc(64);
  const fd = openSync(path, "r");
  readSync(fd, header, 0, header.length, 0);
  closeSync(fd);
  return { size: Number(header.readBigUInt64LE(32)), index: Number(header.readBigUInt64LE(40)) };
}

/** Turns the bits of one byte of a file. */
export function flipByte(path: string, offset: number): void {
  const fd = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  if (readSync(fd, byte, 0, 1, offset) !== 1) throw new Error(`"${path}" has no byte ${offset}`);
  byte.writeUInt8((byte.readUInt8(0) ^ 0xff) & 0xff);
  writeSync(fd, byte, 0, 1, offset);
  closeSync(fd);
}

/** What a power cut can do: the quick check finds it. `file` is one of the layer's, not empty. */
export function harmLayer(path: string, file: string): void {
  if (isImage(path)) truncateSync(path, partsOf(path).index);
  else truncateSync(join(path, file), 0);
}
