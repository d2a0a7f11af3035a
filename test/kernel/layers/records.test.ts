// The tar record: the very same tar again out of a layer's directory, and what is damaged in it.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { kernel, recreate, unpack, useScratch } from "./fixture.ts";
import { gnuLongName, makeTar, paxHeader, type TarEntrySpec, tarEntry } from "./tar-builder.ts";

const scratch = useScratch();
const digest = (data: Uint8Array) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

async function unpacked(tar: Buffer) {
  const root = scratch.fresh();
  const record = `${root}.record`;
  const result = await unpack(root, gzipSync(tar), { files: { recordFile: record } });
  return { root, record, result };
}

const ENTRIES: (TarEntrySpec | Buffer)[] = [
  paxHeader({ comment: "global" }, "g"),
  { path: "./", type: "5", mode: 0o755 },
  { path: "bin/", type: "5" },
  { path: "bin/su", mode: 0o4755, data: "set user id" },
  { path: "bin/again", type: "1", link: "bin/su" },
  { path: "lib", type: "2", link: "usr/lib" },
  { path: "usr/lib/", type: "5" },
  { path: "lib/through", data: Buffer.alloc(700_000, "library") },
  { path: "empty" },
  { path: "pipe", type: "6" },
  { path: "null", type: "3", mode: 0o666, major: 1, minor: 3 },
  { path: "etc/.wh.gone", data: "not empty" },
  { path: "opt/.wh..wh..opq" },
  { path: ".wh..wh.plnk/77.1", data: "of aufs" },
  {
    path: "x",
    pax: { path: `${"long/".repeat(40)}name`, "SCHILY.xattr.user.colour": "blue" },
    data: "with an attribute",
  },
  Buffer.concat([gnuLongName("L", "g".repeat(150)), tarEntry({ path: "cut", uid: 70_000, data: "gnu" })]),
];

test("every kind of entry comes back bit by bit, and is sound", async () => {
  const tar = Buffer.concat([makeTar(ENTRIES), Buffer.alloc(9000), Buffer.from("behind the end")]);
  const { root, record, result } = await unpacked(tar);
  expect((await recreate(root, record)).equals(tar)).toBe(true);
  const head = {
    diffId: digest(tar),
    unpackedBytes: tar.length,
    blobDigest: result.blobDigest,
    blobBytes: result.blobBytes,
    entries: result.entries,
    lost: "",
  };
  expect(await kernel.readLayerRecord(record)).toEqual(head);
  expect(await kernel.checkLayer(root, record)).toEqual({ ...head, damaged: [] });
  expect(await kernel.verifyLayer(root, record)).toEqual({ ...head, damaged: [] });
  expect(statSync(record).mode & 0o777).toBe(0o600);
});

test("what the record keeps is small", async () => {
  const tar = makeTar(Array.from({ length: 3000 }, (_, at) => ({ path: `usr/share/file-${at}`, data: "x" })));
  const { record } = await unpacked(tar);
  expect(statSync(record).size).toBeLessThan(3000 * 25);
});

test.each(["pax", "gnu", "ustar", "v7"])(
  "GNU tar's %s archive of a random tree comes back",
  async (format) => {
    const tree = scratch.fresh("tree");
    const script = `cd "$1"; mkdir -p a/b "c d"; head -c 3000000 /dev/urandom > a/noise; ln a/noise a/b/hard
    truncate -s 5000000 sparse; printf end >> sparse; ln -s ../a "c d/link"
    for i in $(seq 300); do echo $i > a/b/$i; done`;
    execFileSync("bash", ["-ec", script, "bash", tree]);
    const sparse = format === "pax" || format === "gnu" ? ["--sparse"] : [];
    const tar = execFileSync("tar", [`--format=${format}`, ...sparse, "-cf", "-", "-C", tree, "."], {
      maxBuffer: 64 << 20,
    });
    const { root, record } = await unpacked(tar);
    expect((await recreate(root, record)).equals(tar)).toBe(true);
    expect((await kernel.verifyLayer(root, record)).damaged).toEqual([]);
  },
);

const damages: [string, (root: string) => void, RegExp, boolean][] = [
  ["bin/su", (root) => unlinkSync(join(root, "bin/su")), /^is missing$/, true],
  ["bin/su", (root) => truncateSync(join(root, "bin/su"), 0), /^has 0 bytes instead of 11$/, true],
  ["bin/su", (root) => chmodSync(join(root, "bin/su"), 0o755), /^has the mode 0755 instead of 4755$/, true],
  ["bin/su", (root) => chownSync(join(root, "bin/su"), 5, 6), /belongs to 5:6 instead of 0:0|mode/, true],
  ["empty", (root) => writeFileSync(join(root, "empty"), "x"), /^has 1 bytes instead of 0$/, true],
  [
    "lib/through",
    (root) => writeFileSync(join(root, "usr/lib/through"), Buffer.alloc(700_000, "librarY")),
    /^has another content than it had$/,
    false,
  ],
  [
    "lib",
    (root) => {
      unlinkSync(join(root, "lib"));
      symlinkSync("/etc", join(root, "lib"));
    },
    /^points elsewhere$/,
    true,
  ],
  [
    "pipe",
    (root) => {
      unlinkSync(join(root, "pipe"));
      mkdirSync(join(root, "pipe"));
    },
    /^is a directory instead of a FIFO$/,
    true,
  ],
  ["null", (root) => unlinkSync(join(root, "null")), /^is missing$/, true],
  ["etc/.wh.gone", (root) => unlinkSync(join(root, "etc/gone")), /^is missing$/, true],
  [
    "opt/.wh..wh..opq",
    (root) => execFileSync("setfattr", ["-x", "trusted.overlay.opaque", join(root, "opt")]),
    /not opaque/,
    true,
  ],
  [
    "bin/again",
    (root) => {
      unlinkSync(join(root, "bin/again"));
      writeFileSync(join(root, "bin/again"), "set user id");
    },
    /^is not the same file as "bin\/su"$/,
    true,
  ],
];

test.each(damages)("damage to %s is found (%#)", async (path, damage, what, quickly) => {
  const { root, record, result } = await unpacked(makeTar(ENTRIES));
  damage(root);
  const found = { path, what: expect.stringMatching(what) };
  const check = await kernel.checkLayer(root, record);
  expect(check.damaged.filter((entry) => entry.path === path)).toEqual(quickly ? [found] : []);
  const verified = await kernel.verifyLayer(root, record);
  expect(verified.damaged).toContainEqual(found);
  const contents = /content|bytes|is missing$/.test(verified.damaged[0]?.what ?? "");
  if (!contents || path === "null" || path.startsWith("etc/") || path === "empty") return;
  expect(verified.diffId).not.toBe(result.diffId);
  await expect(recreate(root, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
});

test("a directory that is gone: everything in it is missing, and nothing else", async () => {
  const { root, record } = await unpacked(makeTar(ENTRIES));
  rmSync(join(root, "bin"), { recursive: true });
  const { damaged } = await kernel.checkLayer(root, record);
  expect(damaged.map(({ path }) => path).sort()).toEqual(["bin/", "bin/again", "bin/su"]);
});

test("extended attributes are compared by verify", async () => {
  const { root, record } = await unpacked(makeTar(ENTRIES));
  execFileSync("setfattr", ["-n", "user.colour", "-v", "red", join(root, `${"long/".repeat(40)}name`)]);
  expect((await kernel.checkLayer(root, record)).damaged).toEqual([]);
  expect((await kernel.verifyLayer(root, record)).damaged).toMatchObject([
    { what: 'has another extended attribute "user.colour"' },
  ]);
});

test("capabilities that the kernel gives back in another form are no damage", async () => {
  const capability = (root: string) => Buffer.from(`0100000300200000${"00".repeat(12)}${root}`, "hex");
  const entry = (path: string, root: string) => ({
    path,
    pax: { "SCHILY.xattr.security.capability": capability(root) },
  });
  const tar = makeTar([entry("root's", "00000000"), entry("other's", "a0860100")]);
  const { root, record } = await unpacked(tar);
  expect((await kernel.verifyLayer(root, record)).damaged).toEqual([]);
  const other = `0x0100000201000000${"00".repeat(12)}`;
  execFileSync("setfattr", ["-n", "security.capability", "-v", other, join(root, "root's")]);
  expect((await kernel.verifyLayer(root, record)).damaged).toMatchObject([{ path: "root's" }]);
});

test("an entry that replaces another is found out when unpacking, and said", async () => {
  const cases: TarEntrySpec[][] = [
    [
      { path: "f", data: "one" },
      { path: "f", data: "two" },
    ],
    [{ path: "d/f", data: "x" }, { path: "d" }],
    [
      { path: "l", type: "2", link: "a" },
      { path: "l/f", data: "x" },
      { path: "l", type: "2", link: "b" },
    ],
  ];
  for (const entries of cases) {
    const { root, record, result } = await unpacked(makeTar(entries));
    expect(result.lost).not.toBe("");
    expect((await kernel.readLayerRecord(record)).lost).toBe(result.lost);
    await expect(recreate(root, record)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    // The last word counts: what is on disk is sound.
    expect((await kernel.checkLayer(root, record)).damaged).toEqual([]);
    expect((await kernel.verifyLayer(root, record)).damaged).toEqual([]);
  }
  const twice = makeTar([
    { path: "d/", type: "5", mode: 0o700 },
    { path: "l", type: "2", link: "a" },
    { path: "l", type: "2", link: "a" },
    { path: "d/", type: "5", mode: 0o711 },
    { path: "e" },
    { path: "e", data: "x" },
  ]);
  const same = await unpacked(twice);
  expect(same.result.lost).toBe("");
  expect((await recreate(same.root, same.record)).equals(twice)).toBe(true);
  expect((await kernel.checkLayer(same.root, same.record)).damaged).toEqual([]);
});

test("nothing is read outside of the layer, wherever its links lead", async () => {
  const outside = scratch.fresh("outside");
  writeFileSync(join(outside, "f"), "secret");
  const tar = makeTar([{ path: "d/f", data: "public" }]);
  for (const damage of [
    (root: string) => {
      rmSync(join(root, "d"), { recursive: true });
      symlinkSync(outside, join(root, "d"));
    },
    (root: string) => {
      unlinkSync(join(root, "d/f"));
      symlinkSync(join(outside, "f"), join(root, "d/f"));
    },
    (root: string) => {
      unlinkSync(join(root, "d/f"));
      execFileSync("mkfifo", [join(root, "d/f")]);
    },
  ]) {
    const { root, record } = await unpacked(tar);
    damage(root);
    await expect(recreate(root, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
    expect((await kernel.verifyLayer(root, record)).damaged.length).toBeGreaterThan(0);
  }
});

test("a record that is damaged, cut or not complete is refused", async () => {
  const { root, record } = await unpacked(makeTar(ENTRIES));
  const whole = readFileSync(record);
  const changed = (change: (bytes: Buffer) => Buffer | undefined) => {
    const copy = Buffer.from(whole);
    writeFileSync(record, change(copy) ?? copy);
  };
  const refused = async () => {
    await expect(kernel.checkLayer(root, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
    await expect(recreate(root, record)).rejects.toMatchObject({ code: "DATA_LOSS" });
  };
  for (let at = 0; at < whole.length; at += 1 + (at >> 4)) {
    changed((bytes) => {
      bytes[at] = (bytes[at] as number) ^ 0x40;
      return undefined;
    });
    await refused();
  }
  for (const size of [0, 100, 512, 600, whole.length - 1]) {
    changed((bytes) => bytes.subarray(0, size));
    await refused();
  }
  changed((bytes) => Buffer.concat([bytes, Buffer.from("x")]));
  await refused();
  changed((bytes) => void bytes.fill(0, 0, 512));
  await refused();
  rmSync(record);
  await expect(kernel.readLayerRecord(record)).rejects.toMatchObject({ errno: "ENOENT" });
});

test("a record is made once, and none is left behind as complete by a layer that failed", async () => {
  const root = scratch.fresh();
  const record = `${root}.record`;
  const bad = makeTar([{ path: "f", data: "x" }, { path: "../x" }]);
  await expect(unpack(root, bad, { files: { recordFile: record } })).rejects.toThrow(/escapes/);
  await expect(kernel.readLayerRecord(record)).rejects.toMatchObject({ code: "DATA_LOSS" });
  await expect(unpack(scratch.fresh(), bad, { files: { recordFile: record } })).rejects.toMatchObject({
    step: "create layer record",
    errno: "EEXIST",
  });
});

test("the reader may leave early, and a layer may be moved", async () => {
  const tar = makeTar(
    Array.from({ length: 30 }, (_, at) => ({ path: `f${at}`, data: Buffer.alloc(400_000) })),
  );
  const { root, record } = await unpacked(tar);
  for await (const piece of kernel.recreateLayer(root, record)) {
    expect(piece.length).toBeGreaterThan(0);
    break;
  }
  renameSync(root, `${root}.moved`);
  linkSync(record, `${record}.moved`);
  expect((await recreate(`${root}.moved`, `${record}.moved`)).equals(tar)).toBe(true);
});
