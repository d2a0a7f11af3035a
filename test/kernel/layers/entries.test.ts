// Every kind of entry a layer may hold, and what must be on disk afterwards.

import { lstatSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { unpack, useScratch, xattrOf } from "./fixture.ts";
import { gnuLongName, makeTar, tarEntry } from "./tar-builder.ts";

const scratch = useScratch();

const CAP_NET_RAW = "0100000200200000000000000000000000000000";

test("modes, setuid bits and owners above 65535 survive", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "bin/", type: "5", mode: 0o2775, gid: 50 },
      { path: "bin/su", mode: 0o4755, data: "x" },
      { path: "bin/wall", mode: 0o2755, gid: 5, data: "x" },
      { path: "bin/plain", mode: 0o600, data: "x" },
      { path: "tmp/", type: "5", mode: 0o1777 },
      { path: "big", uid: 3_000_000, gid: 4_000_000_000, data: "x" },
      { path: "pax", pax: { uid: "70000", gid: "80000" }, data: "x" },
      { path: "bin/link", type: "2", link: "su", uid: 7, gid: 8 },
    ]),
  );
  const facts = (path: string) => {
    const { mode, uid, gid } = lstatSync(join(root, path));
    return [(mode & 0o7777).toString(8), uid, gid];
  };
  expect(facts("bin")).toEqual(["2775", 0, 50]);
  expect(facts("bin/su")).toEqual(["4755", 0, 0]);
  expect(facts("bin/wall")).toEqual(["2755", 0, 5]);
  expect(facts("bin/plain")).toEqual(["600", 0, 0]);
  expect(facts("tmp")).toEqual(["1777", 0, 0]);
  expect(facts("big")).toEqual(["644", 3_000_000, 4_000_000_000]);
  expect(facts("pax")).toEqual(["644", 70_000, 80_000]);
  expect(facts("bin/link").slice(1)).toEqual([7, 8]);
});

test("nothing is inherited from a setgid directory, also when it becomes one late", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "root/", type: "5", mode: 0o2755 },
      { path: "root/dir/", type: "5", mode: 0o755 },
      { path: "root/file", mode: 0o644, data: "x" },
      { path: "mail/", type: "5", mode: 0o2775, gid: 8 },
      { path: "mail/dir/", type: "5", mode: 0o700 },
      { path: "mail/file", mode: 0o640, data: "x" },
      { path: "mail/link", type: "2", link: "file" },
      { path: "before/", type: "5", mode: 0o755 },
      { path: "before/dir/", type: "5", mode: 0o711 },
      { path: "before/", type: "5", mode: 0o2755, gid: 9 },
      { path: "before/dir2/", type: "5", mode: 0o711 },
      { path: "./", type: "5", mode: 0o2751, gid: 10 },
      { path: "last/", type: "5", mode: 0o755 },
      { path: "file", mode: 0o644, data: "x" },
    ]),
  );
  const facts = (path: string) => {
    const { mode, uid, gid } = lstatSync(`${root}/${path}`);
    return `${(mode & 0o7777).toString(8)} ${uid} ${gid}`;
  };
  expect(["root", "root/dir", "root/file"].map(facts)).toEqual(["2755 0 0", "755 0 0", "644 0 0"]);
  expect(["mail", "mail/dir", "mail/file"].map(facts)).toEqual(["2775 0 8", "700 0 0", "640 0 0"]);
  expect(lstatSync(join(root, "mail/link")).gid).toBe(0);
  expect(["before", "before/dir", "before/dir2"].map(facts)).toEqual(["2755 0 9", "711 0 0", "711 0 0"]);
  expect([".", "last", "file"].map(facts)).toEqual(["2751 0 10", "755 0 0", "644 0 0"]);
});

test("the process's umask changes nothing", async () => {
  const root = scratch.fresh();
  const before = process.umask(0o077);
  try {
    await unpack(root, makeTar([{ path: "a/b", mode: 0o666, data: "x" }]));
    expect(process.umask()).toBe(0o077);
  } finally {
    process.umask(before);
  }
  expect(statSync(join(root, "a/b")).mode & 0o777).toBe(0o666);
  expect(statSync(join(root, "a")).mode & 0o777).toBe(0o755);
});

test("times have their fractions, directories and links too", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "./", type: "5", mode: 0o750, mtime: 1_000_000_001 },
      { path: "d/", type: "5", mtime: 1_000_000_000 },
      { path: "d/f", pax: { mtime: "1500000000.123456789" }, data: "x" },
      { path: "d/old", pax: { mtime: "-1.25" }, data: "x" },
      { path: "d/l", type: "2", link: "f", mtime: 1_400_000_000 },
    ]),
  );
  const time = (path: string) => lstatSync(`${root}/${path}`, { bigint: true }).mtimeNs;
  expect(time("d/f")).toBe(1_500_000_000_123_456_789n);
  expect(time("d/old")).toBe(-1_250_000_000n);
  expect(time("d/l")).toBe(1_400_000_000_000_000_000n);
  expect(time("d")).toBe(1_000_000_000_000_000_000n);
  expect(time(".")).toBe(1_000_000_001_000_000_000n);
  expect(statSync(root).mode & 0o777).toBe(0o750);
});

test("extended attributes and capabilities are set, overlay's own are not", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      {
        path: "ping",
        mode: 0o755,
        uid: 5,
        data: "x",
        pax: {
          "SCHILY.xattr.user.note": Buffer.from([0, 10, 61, 255]),
          "SCHILY.xattr.security.capability": Buffer.from(CAP_NET_RAW, "hex"),
          "SCHILY.xattr.trusted.overlay.redirect": "/etc",
          "SCHILY.xattr.user.overlay.opaque": "y",
        },
      },
      {
        path: "d/",
        type: "5",
        pax: { "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.trusted.mark": "1" },
      },
    ]),
  );
  const ping = join(root, "ping");
  expect(xattrOf(ping, "user.note")).toBe("000a3dff");
  expect(xattrOf(ping, "security.capability")).toBe(CAP_NET_RAW);
  expect(xattrOf(ping, "trusted.overlay.redirect")).toBeNull();
  expect(xattrOf(ping, "user.overlay.opaque")).toBeNull();
  expect(xattrOf(join(root, "d"), "trusted.overlay.opaque")).toBeNull();
  expect(xattrOf(join(root, "d"), "trusted.mark")).toBe("31");
});

test("hard links share an inode, also those to symlinks", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "a", data: "same" },
      { path: "sub/b", type: "1", link: "a" },
      { path: "/c", type: "1", link: "/sub/b" },
      { path: "l", type: "2", link: "/etc/passwd" },
      { path: "m", type: "1", link: "l" },
      { path: "a", type: "1", link: "c" },
    ]),
  );
  expect(statSync(join(root, "a")).nlink).toBe(3);
  expect(statSync(join(root, "sub/b")).ino).toBe(statSync(join(root, "c")).ino);
  expect(readlinkSync(join(root, "m"))).toBe("/etc/passwd");
  expect(lstatSync(join(root, "m")).ino).toBe(lstatSync(join(root, "l")).ino);
});

test("symlinks keep their targets as they are", async () => {
  const root = scratch.fresh();
  const targets = ["/absolute/path", "../../../up", "a//b/./c/", "x".repeat(1000), "umläut \n line"];
  await unpack(
    root,
    makeTar(targets.map((link, index) => ({ path: `l${index}`, type: "2", pax: { linkpath: link } }))),
  );
  expect(targets.map((_, index) => readlinkSync(join(root, `l${index}`)))).toEqual(targets);
});

test("long names: ustar prefix, PAX and GNU", async () => {
  const root = scratch.fresh();
  const deep = `${"d".repeat(120)}/${"e".repeat(200)}/${"f".repeat(255)}`;
  await unpack(
    root,
    makeTar([
      { path: "name", patch: (header) => header.write("the/prefix", 345, "latin1"), data: "1" },
      { path: "ignored", pax: { path: deep }, data: "2" },
      Buffer.concat([gnuLongName("L", `gnu/${"g".repeat(150)}`), tarEntry({ path: "cut", data: "3" })]),
      Buffer.concat([
        gnuLongName("K", "t".repeat(150)),
        gnuLongName("L", `gnu/${"l".repeat(150)}`),
        tarEntry({ path: "cut", type: "2", link: "cut" }),
      ]),
    ]),
  );
  const text = (path: string) => readFileSync(join(root, path), "utf8");
  expect(text("the/prefix/name")).toBe("1");
  expect(text(deep)).toBe("2");
  expect(text(`gnu/${"g".repeat(150)}`)).toBe("3");
  expect(readlinkSync(join(root, `gnu/${"l".repeat(150)}`))).toBe("t".repeat(150));
});

test("devices and FIFOs are made with their numbers and modes", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "null", type: "3", mode: 0o666, major: 1, minor: 3 },
      { path: "disk", type: "4", mode: 0o660, gid: 6, major: 259, minor: 70_000 },
      { path: "pipe", type: "6", mode: 0o622 },
    ]),
  );
  const device = lstatSync(join(root, "null"));
  expect([device.isCharacterDevice(), device.mode & 0o777, device.rdev]).toEqual([true, 0o666, 0x103]);
  const disk = lstatSync(join(root, "disk"));
  expect([disk.isBlockDevice(), disk.gid, disk.rdev]).toEqual([true, 6, 0x1110_0370 + 0x1_0000]);
  expect(lstatSync(join(root, "pipe")).isFIFO()).toBe(true);
});

test("an entry replaces an earlier one; a directory over a directory merges", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "f", data: "old" },
      { path: "f", data: "new" },
      { path: "d/", type: "5", mode: 0o700 },
      { path: "d/kept", data: "x" },
      { path: "d/", type: "5", mode: 0o711 },
      { path: "was-dir/in/deep", data: "x" },
      { path: "was-dir", type: "2", link: "d" },
      { path: "was-link", type: "2", link: "/etc" },
      { path: "was-link", data: "file" },
      { path: "was-file", data: "x" },
      { path: "was-file/", type: "5" },
      { path: "was-file/now", data: "x" },
    ]),
  );
  expect(readFileSync(join(root, "f"), "utf8")).toBe("new");
  expect(statSync(join(root, "d")).mode & 0o777).toBe(0o711);
  expect(readFileSync(join(root, "was-dir/kept"), "utf8")).toBe("x");
  expect(readFileSync(join(root, "was-link"), "utf8")).toBe("file");
  expect(readFileSync(join(root, "was-file/now"), "utf8")).toBe("x");
});

test("a parent that is a link of the same layer is followed inside the root", async () => {
  const root = scratch.fresh();
  await unpack(
    root,
    makeTar([
      { path: "usr/lib/", type: "5" },
      { path: "lib", type: "2", link: "usr/lib" },
      { path: "lib/x", data: "1" },
      { path: "abs", type: "2", link: "/usr/share" },
      { path: "abs/y", data: "2" },
      { path: "up", type: "2", link: "../../../../opt" },
      { path: "up/z", data: "3" },
    ]),
  );
  const text = (path: string) => readFileSync(join(root, path), "utf8");
  expect([text("usr/lib/x"), text("usr/share/y"), text("opt/z")]).toEqual(["1", "2", "3"]);
});

test("global PAX headers hold for what follows, names in them do not", async () => {
  const root = scratch.fresh();
  const { paxHeader } = await import("./tar-builder.ts");
  await unpack(
    root,
    makeTar([
      paxHeader({ uid: "1234", path: "evil", comment: "c" }, "g"),
      { path: "a", data: "x" },
      { path: "b", data: "x", pax: { uid: "5" } },
    ]),
  );
  expect([statSync(join(root, "a")).uid, statSync(join(root, "b")).uid]).toEqual([1234, 5]);
});
