// A small EROFS image by hand (Linux, fs/erofs/erofs_fs.h): a root with one file "f" of owner 5:6.

import { crc32 } from "node:zlib";

const BLOCK = 512;
const INODES = 8192;

export function tinyImage(content: string): Buffer {
  const image = Buffer.alloc(16384);
  const names = [".", "..", "f"];
  const nids = [2, 2, 4];
  const directory = INODES - BLOCK;
  let nameAt = 12 * names.length;
  for (const [at, name] of names.entries()) {
    const entry = directory + 12 * at;
    image.writeBigUInt64LE(BigInt(nids[at] ?? 0), entry);
    image.writeUInt16LE(nameAt, entry + 8);
    image.writeUInt8(name === "f" ? 1 : 2, entry + 10);
    nameAt += image.write(name, directory + nameAt);
  }
  image.write(content, 4096);
  writeInode(image, 2, { mode: 0o40755, size: nameAt, block: directory / BLOCK, links: 2, owner: [0, 0] });
  writeInode(image, 4, {
    mode: 0o100644,
    size: content.length,
    block: 4096 / BLOCK,
    links: 1,
    owner: [5, 6],
  });
  image.writeUInt32LE(0xe0f5_e1e2, 1024);
  image.writeUInt8(9, 1024 + 12);
  image.writeUInt16LE(2, 1024 + 14);
  image.writeBigUInt64LE(3n, 1024 + 16);
  image.writeUInt32LE(image.length / BLOCK, 1024 + 36);
  image.writeUInt32LE(INODES / BLOCK, 1024 + 40);
  image.fill(1, 1024 + 48, 1024 + 64);
  writeHeader(image);
  return image;
}

/** berth's own (addon/kernel/erofs_format.h). */
function writeHeader(image: Buffer): void {
  image.write("berth layer image\n", 0);
  image.writeUInt32LE(1, 24);
  image.writeBigUInt64LE(BigInt(image.length), 32);
  image.writeBigUInt64LE(BigInt(INODES), 40);
  image.writeBigUInt64LE(BigInt(image.length - INODES), 48);
  image.writeUInt32LE(crc32(image.subarray(0, 60)), 60);
}

interface Inode {
  readonly mode: number;
  readonly size: number;
  readonly block: number;
  readonly links: number;
  readonly owner: readonly [number, number];
}

function writeInode(image: Buffer, nid: number, { mode, size, block, links, owner }: Inode): void {
  const at = INODES + 32 * nid;
  image.writeUInt16LE(1, at);
  image.writeUInt16LE(mode, at + 4);
  image.writeBigUInt64LE(BigInt(size), at + 8);
  image.writeUInt32LE(block, at + 16);
  image.writeUInt32LE(nid, at + 20);
  image.writeUInt32LE(owner[0], at + 24);
  image.writeUInt32LE(owner[1], at + 28);
  image.writeUInt32LE(links, at + 44);
}
