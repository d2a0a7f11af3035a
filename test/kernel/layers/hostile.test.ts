// Layers made by somebody who means harm: each is refused with an error that says why, and nothing outside of
// the layer's directory is touched.

import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { BerthError, KernelError } from "../../../src/lib/errors.ts";
import { describeTree, inPrivateMounts, isImage, unpack, useScratch } from "./fixture.ts";
import { gnuLongName, makeTar, paxHeader, type TarEntrySpec, tarEntry, tarHeader } from "./tar-builder.ts";

const scratch = useScratch();

afterEach(() => expect(existsSync("/berth-escaped")).toBe(false));

async function failure(blob: Uint8Array, limits = {}): Promise<BerthError> {
  const directory = scratch.fresh();
  const outside = join(scratch.path, "outside");
  writeFileSync(outside, "untouched");
  const before = readdirSync(scratch.path).join();
  try {
    await unpack(directory, blob, { limits });
  } catch (error) {
    expect(readFileSync(outside, "utf8")).toBe("untouched");
    expect(readdirSync(scratch.path).join()).toBe(before);
    expect(error).toBeInstanceOf(BerthError);
    return error as BerthError;
  }
  throw new Error("the layer was accepted");
}

async function refused(
  entries: (TarEntrySpec | Buffer)[],
  message: RegExp,
  code = "INVALID_ARGUMENT",
): Promise<void> {
  const error = await failure(makeTar(entries));
  expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
  expect(error.cause).toBeInstanceOf(KernelError);
}

test.each(["../outside", "a/../../outside", "/../outside", "a/b/../../../outside", ".."])(
  "a path that leads out is refused: %s",
  async (path) => {
    await refused([{ path, data: "evil" }], /tar: entry path escapes the layer \(entry "/);
    await refused([{ path, type: "5" }], /escapes the layer/);
    await refused([{ path: "x", pax: { path }, data: "evil" }], /escapes the layer/);
    await refused([gnuLongName("L", path), { path: "x", data: "evil" }], /escapes the layer/);
  },
);

test("absolute paths land beneath the root", async () => {
  const directory = scratch.fresh();
  await unpack(
    directory,
    makeTar([
      { path: "/berth-escaped", data: "x" },
      { path: "//etc/x", data: "y" },
    ]),
  );
  expect(describeTree(directory)).toContain("./berth-escaped f");
  expect(describeTree(directory)).toContain("./etc/x f");
});

test("links out of the layer are traps that spring inside", async () => {
  const directory = scratch.fresh();
  const outside = join(scratch.path, "outside-directory");
  await unpack(
    directory,
    makeTar([
      { path: "abs", type: "2", link: scratch.path },
      { path: "abs/outside-directory", data: "evil" },
      { path: "rel", type: "2", link: "../../../../../../../../.." },
      { path: "rel/berth-escaped", data: "evil" },
      { path: "file", type: "2", link: "/berth-escaped" },
      { path: "file", data: "replaced" },
      { path: "hop", type: "2", link: "abs" },
      { path: "hop/.wh.gone" },
    ]),
  );
  expect(existsSync(outside)).toBe(false);
  expect(readFileSync(join(directory, scratch.path, "outside-directory"), "utf8")).toBe("evil");
  expect(readFileSync(join(directory, "berth-escaped"), "utf8")).toBe("evil");
  expect(lstatSync(join(directory, "file")).isFile()).toBe(true);
});

test("links in circles end", async () => {
  const error = await failure(
    makeTar([
      { path: "a", type: "2", link: "b" },
      { path: "b", type: "2", link: "a" },
      { path: "a/x", data: "x" },
    ]),
  );
  expect(error.message).toMatch(/ELOOP/);
});

test("hard links: out of the layer, to a lower layer, to a directory", async () => {
  await refused([{ path: "x", type: "1", link: "../outside" }], /hard link target escapes the layer/);
  await refused(
    [{ path: "x", type: "1", link: "/etc/passwd" }],
    /hard link to a file that is not in this layer/,
  );
  await refused(
    [
      { path: "l", type: "2", link: "/etc" },
      { path: "x", type: "1", link: "l/passwd" },
    ],
    /not in this/,
  );
  await refused(
    [
      { path: "d/", type: "5" },
      { path: "x", type: "1", link: "d" },
    ],
    /hard link to a directory/,
  );
  await refused([{ path: ".wh.f" }, { path: "x", type: "1", link: "f" }], /not in this layer/);
});

test("whiteouts of no name", async () => {
  for (const path of ["a/.wh.", "a/.wh..", "a/.wh..."]) await refused([{ path }], /whiteout of no name/);
});

test("odd names and entries", async () => {
  await refused([{ path: "", data: "x" }], /entry has no name/);
  await refused([{ path: "./", type: "2", link: "/etc" }], /replaces the layer's root/);
  await refused([{ path: "x", pax: { path: "a\0b" }, data: "x" }], /zero byte/);
  await refused([{ path: "x", pax: { path: "n".repeat(256) }, data: "x" }], /name is too long/);
  await refused([{ path: "x", pax: { path: "n/".repeat(2048) }, data: "x" }], /name is too long/);
  await refused([gnuLongName("L", "n".repeat(5000)), { path: "x" }], /name is too long/);
  await refused(
    [
      { path: "f", data: "x" },
      { path: "f/x", data: "x" },
    ],
    /parent is not a directory/,
  );
  await refused([{ path: "x", type: "Z" }], /unknown type of entry/);
  await refused([{ path: "x", type: "2", link: "" }], /link to nothing/);
});

test("damaged headers", async () => {
  await refused([{ path: "a" }, { path: "x", badChecksum: true }], /tar: header is damaged/);
  await refused([{ path: "x", patch: (header) => header.write("9x", 124) }], /bad number/);
  const negative = (header: Buffer) => header.fill(0xff, 124, 136);
  await refused([{ path: "x", patch: negative }], /negative size/);
  const hugeOwner = (header: Buffer) => header.write("\x80\0\0\x01\0\0\0\0", 108, "latin1");
  await refused([{ path: "x", patch: hugeOwner }], /owner is out of range/);
  await refused([{ path: "x", pax: { uid: "-1" } }], /owner is out of range/);
  await refused([{ path: "x", pax: { mtime: "soon" } }], /bad time/);
  await refused([{ path: "x", pax: { size: "12x" } }], /bad size/);
  await refused([{ path: "x", type: "3", patch: (header) => header.fill(0xff, 330, 337) }], /number/);
});

test("damaged and oversized PAX headers", async () => {
  const raw = (text: string) => tarEntry({ path: "p", type: "x", data: text });
  for (const text of [
    "5 a=b",
    "99 a=b\n",
    "0 a=b\n",
    "x a=b\n",
    "5 =b\n",
    "4 a=b\n",
    "18446744073709551616 a=b\n",
  ])
    await refused([raw(text), { path: "x" }], /PAX header is damaged/);
  await refused([paxHeader({ comment: "c".repeat(1 << 20) }), { path: "x" }], /PAX headers are too large/);
  const half = paxHeader({ comment: "c".repeat(600_000) });
  await refused([half, half, { path: "x" }], /PAX headers are too large/);
  await refused(
    [{ path: "x", pax: { "SCHILY.xattr.user.x": "v".repeat(65_537) } }],
    /attribute is too large/,
  );
  await refused([{ path: "x", pax: { [`SCHILY.xattr.user.${"n".repeat(255)}`]: "v" } }], /bad name/);
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`SCHILY.xattr.user.a${at}`, "v"]));
  await refused([{ path: "x", pax: many }], /too many extended attributes/);
});

test("lying sizes", async () => {
  const claims = makeTar([{ path: "x", data: "short", claimedSize: 100_000 }]);
  expect((await failure(claims)).message).toMatch(/archive is truncated \(entry "x"\)/);
  const beyond = makeTar([{ path: "x", data: "short", claimedSize: 1 << 29 }]);
  expect((await failure(beyond, { maxUnpackedBytes: 1 << 20 })).message).toMatch(
    /entry is larger than the limit/,
  );
  await refused([{ path: "x", data: "y".repeat(2000), claimedSize: 3 }], /header is damaged/);
  const huge = { path: "x", pax: { size: "9223372036854775799" }, data: "y" };
  await refused([huge], /larger than the limit/, "RESOURCE_EXHAUSTED");
});

test("an archive that ends in the middle", async () => {
  const tar = makeTar([{ path: "a", data: "x".repeat(1000) }]);
  expect((await failure(tar.subarray(0, 700))).message).toMatch(/tar: archive is truncated/);
  expect((await failure(tar.subarray(0, 300))).message).toMatch(/tar: archive is truncated/);
  const header = tarHeader({ path: "p", type: "x" }, 0);
  expect((await failure(header)).message).toMatch(/tar: archive is truncated/);
});

test("damaged compression", async () => {
  const tar = makeTar([{ path: "a", data: Buffer.from(Array.from({ length: 50_000 }, (_, at) => at * at)) }]);
  const gzip = gzipSync(tar);
  const zstd = zstdCompressSync(tar);
  const wrongCrc = Buffer.from(gzip);
  wrongCrc.writeUInt32LE(0, gzip.length - 8);
  const begins = (magic: string) => Buffer.concat([Buffer.from(magic, "hex"), Buffer.alloc(2000, 7)]);
  const cases: [Buffer, RegExp][] = [
    [gzip.subarray(0, gzip.length - 1), /gzip: stream is truncated/],
    [gzip.subarray(0, gzip.length >> 1), /gzip: stream is truncated/],
    [gzip.subarray(0, 5), /gzip: stream is truncated/],
    [wrongCrc, /gzip: checksum does not match/],
    [Buffer.concat([gzip, Buffer.from("garbage")]), /gzip: garbage after/],
    [Buffer.concat([gzip, Buffer.from([0x1f, 0x8c, 8, 0, 0, 0, 0, 0, 0, 0])]), /gzip: header is damaged/],
    [Buffer.concat([gzip, Buffer.from("\0\0garbage")]), /gzip: garbage after/],
    [zstd.subarray(0, zstd.length - 1), /zstd: stream is truncated/],
    [Buffer.concat([zstd, Buffer.from("garbage")]), /zstd: /],
    [Buffer.concat([zstd.subarray(0, 40), Buffer.alloc(400, 0x55)]), /zstd: /],
    [Buffer.from("<html>not found</html>".repeat(100)), /neither gzip, zstd nor tar/],
    [Buffer.from("BZh9"), /compressed with bzip2/],
    [begins("425a6839314159265359"), /compressed with bzip2; layers use gzip or zstd/],
    [begins("fd377a585a000004e6d6b446"), /compressed with xz/],
    [begins("04224d186440a7"), /compressed with lz4/],
  ];
  for (const [blob, message] of cases) {
    const error = await failure(blob);
    expect(error.message).toMatch(message);
    expect(error.code).toBe("INVALID_ARGUMENT");
  }
});

test("a file whose name looks like a magic is a file", async () => {
  const directory = scratch.fresh();
  await unpack(directory, makeTar([{ path: "BZh9", data: "x" }]));
  expect(readdirSync(directory)).toEqual(["BZh9"]);
});

const attribute = (name: string, value: Uint8Array | string) => ({ [`SCHILY.xattr.${name}`]: value });

test("attributes that nothing takes are the layer's fault", async () => {
  const large = attribute("user.large", Buffer.alloc(65_537));
  await refused([{ path: "a", data: "x", pax: large }], /extended attribute is too large/);
  await refused([{ path: "a", type: "6", pax: attribute("user.k", "v") }], /attribute cannot be set/);
  await refused([{ path: "a", type: "2", link: "b", pax: attribute("user.k", "v") }], /cannot be set/);
  await refused([{ path: "a", pax: attribute("security.capability", "v") }], /cannot be set/);
});

test("what the file system cannot hold is the layer's fault, not that of a full disk", async (context) => {
  const kind = execFileSync("stat", ["-f", "-c", "%T", scratch.path], { encoding: "utf8" }).trim();
  context.skip(isImage(), "the limits of images are others, and have a test of their own");
  context.skip(kind !== "ext2/ext3", `the limits in here are those of ext4, not of ${kind}`);
  const names = Array.from({ length: 250 }, (_, n) => attribute(`user.k${n}`, Buffer.alloc(1000, 65)));
  const many = Object.assign({}, ...names);
  await refused([{ path: "a", data: "x", pax: many }], /attributes are too large for the file system/);
  await refused([{ path: "d/", type: "5", pax: many }], /attributes are too large for the file system/);
  const sparse = { "GNU.sparse.size": "9000000000000000000", "GNU.sparse.map": "" };
  await refused([{ path: "a", pax: sparse }], /sparse file is too large for the file system/);
  const links = Array.from({ length: 65_100 }, (_, n) => ({ path: `l${n}`, type: "1", link: "f" }));
  await refused([{ path: "f" }, ...links], /more hard links than the file system allows/);
});

// Minutes when every prefix of every path is looked up.
test("a thousand entries in a directory of 2000 levels", { timeout: 30_000 }, async () => {
  const deep = "a/".repeat(1990);
  const entries = Array.from({ length: 1000 }, (_, at) => ({
    path: "x",
    pax: { path: `${deep}d${at}/f` },
  }));
  const root = scratch.fresh();
  await unpack(root, gzipSync(makeTar(entries)));
  const found = execFileSync("find", ["-H", root, "-path", "*/d*/f", "-printf", "."], { encoding: "utf8" });
  expect(found).toBe(".".repeat(1000));
});

test("a bomb of zeros stops at the limit", async () => {
  const member = gzipSync(Buffer.alloc(16 << 20));
  const gibibyte = Array<Buffer>(64).fill(member);
  const maxUnpackedBytes = 32 << 20;
  const honest = Buffer.concat([gzipSync(tarEntry({ path: "zeros", claimedSize: 1 << 30 })), ...gibibyte]);
  expect((await failure(honest, { maxUnpackedBytes })).message).toMatch(/larger than the limit/);
  const lying = Buffer.concat([gzipSync(tarEntry({ path: "zeros", claimedSize: 1 << 24 })), ...gibibyte]);
  expect((await failure(lying, { maxUnpackedBytes })).message).toMatch(/larger than the limit when inflated/);
  const padding = Buffer.concat([gzipSync(makeTar([])), ...gibibyte]);
  expect((await failure(padding, { maxUnpackedBytes })).message).toMatch(/larger than the limit/);
});

test("a layer that does not fit leaves room on the disk for others", (context) => {
  context.skip(!existsSync("/dev/loop-control"), "this machine has no loop devices");
  const script = `
    truncate -s 400M "$1/disk"; mkfs.ext4 -q -m 0 "$1/disk"; mkdir "$1/mount"
    mount -o loop "$1/disk" "$1/mount"; fallocate -l 340M "$1/mount/ballast"; mkdir "$1/mount/layer"
    exec "$2" --input-type=module -e '
      const { statfsSync } = await import("node:fs");
      const { gzipSync } = await import("node:zlib");
      const { kernel, LIMITS } = await import(process.argv[1]);
      const { tarHeader } = await import(process.argv[2]);
      const mount = process.argv[3];
      const size = 128 << 20;
      const form = process.argv[4];
      const path = mount + (form === "erofs" ? "/image" : "/layer");
      const layer = kernel.unpackLayer(path, LIMITS, {}, undefined, form);
      await layer.resumeAt();
      let least = Infinity;
      const look = setInterval(() => (least = Math.min(least, statfsSync(mount).bavail)), 1);
      try {
        await layer.write(gzipSync(tarHeader({ path: "zeros" }, size)));
        const zeros = gzipSync(Buffer.alloc(1 << 20));
        for (let at = 0; at < size; at += 1 << 20) await layer.write(zeros);
        await layer.finish();
      } catch (error) {
        clearInterval(look);
        const { blocks, bavail } = statfsSync(mount);
        console.log(JSON.stringify([error.step, error.errno, Math.min(least, bavail) * 200 > blocks]));
      }
    ' "$3" "$4" "$1/mount" "$5"`;
  const files = ["kernel-only.ts", "tar-builder.ts"].map((name) => join(import.meta.dirname, name));
  const form = isImage() ? "erofs" : "directory";
  const printed = inPrivateMounts(script, scratch.fresh(), process.execPath, ...files, form);
  expect(JSON.parse(printed)).toEqual(["the disk is nearly full", "ENOSPC", true]);
});

test("more entries than allowed", async () => {
  const tar = makeTar(Array.from({ length: 20 }, (_, at) => ({ path: `f${at}` })));
  expect((await failure(tar, { maxEntries: 19 })).message).toMatch(/more entries than the limit/);
  await unpack(scratch.fresh(), tar, { limits: { maxEntries: 20 } });
});

test("a directory that is missing is the engine's fault, not the layer's", async () => {
  const error = await unpack(join(scratch.path, "nowhere/layer"), makeTar([])).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KernelError);
  expect((error as KernelError).errno).toBe("ENOENT");
});
