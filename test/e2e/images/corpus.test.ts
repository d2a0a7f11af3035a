// Layer pairs that are easy to get wrong: loaded by berth and seen through overlayfs, each tree must be, file
// by file, the one that umoci unpacks from the same image. (A tar has no form for sockets.)

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ImageDeps } from "../../../src/images/deps.ts";
import { imageStatus } from "../../../src/images/image-status.ts";
import { loadImage } from "../../../src/images/load-image.ts";
import type { LayerForm } from "../../../src/kernel/kernel.ts";
import { backgroundCall } from "../../../src/lib/call.ts";
import { gnuLongName, makeTar, type TarEntrySpec, tarEntry } from "../../kernel/layers/tar-builder.ts";
import { makeDeps, usableForms } from "./support/deps.ts";
import { isImage, withLayers } from "./support/layers.ts";
import { packLayout, unpackWithUmoci } from "./support/umoci-image.ts";

type Layer = readonly (TarEntrySpec | Buffer)[] | Buffer;

const dir = (path: string, more: Partial<TarEntrySpec> = {}): TarEntrySpec => ({ path, type: "5", ...more });
const file = (path: string, data = path, more: Partial<TarEntrySpec> = {}): TarEntrySpec => ({
  path,
  data,
  ...more,
});
const hard = (path: string, link: string): TarEntrySpec => ({ path, type: "1", link });

function sparseTar(): Buffer {
  const folder = mkdtempSync("/tmp/berth-e2e-sparse-");
  try {
    const script = `cd "$1"; truncate -s 3000000 holes
      printf middle | dd of=holes bs=1 seek=1000000 conv=notrunc
      printf end >> holes; truncate -s 100000 empty; touch -d @1600000000 holes empty`;
    execFileSync("sh", ["-ec", script, "sh", folder], { stdio: "ignore" });
    const options = ["--format=pax", "--sparse", "--owner=0", "--group=0", "-cf", "-"];
    return execFileSync("tar", [...options, "-C", folder, "holes", "empty"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
const below: Layer = [dir("d/"), file("d/a"), file("d/b"), dir("d/sub/"), file("d/sub/c"), file("keep")];

const corpus: Record<string, readonly Layer[]> = {
  "whiteouts of a file, a directory and nothing": [
    below,
    [file("d/.wh.a", ""), file("d/.wh.sub", ""), file("d/.wh.never", "")],
  ],
  "an opaque directory, with its mark first and last": [
    below,
    [dir("d/"), file("d/.wh..wh..opq", ""), file("d/new")],
    [dir("d/"), file("d/newer"), file("d/.wh..wh..opq", "")],
  ],
  "a file that replaces a directory, and back": [
    below,
    [file("d", "now a file")],
    [dir("d/"), file("d/again")],
  ],
  "a symlink that replaces a directory, and back": [
    [...below, dir("e/"), file("e/x")],
    [{ path: "d", type: "2", link: "e" }],
    [file(".wh.d", ""), dir("d/"), file("d/again")],
  ],
  "a whiteout and the same name again in one layer": [
    below,
    [file("d/.wh.a", ""), file("d/a", "again"), file(".wh.d", ""), dir("d/"), file("d/only")],
  ],
  "hard links within a layer, and over the layers": [
    [file("one", "same"), hard("two", "one"), dir("h/"), hard("h/three", "two")],
    [file("one", "changed"), hard("two", "one")],
    [file(".wh.one", "")],
  ],
  "long names of PAX and GNU": [
    [file("cut", "pax", { pax: { path: `${"p".repeat(100)}/${"q".repeat(200)}` } })],
    [
      Buffer.concat([gnuLongName("L", `gnu/${"g".repeat(180)}`), tarEntry({ path: "cut", data: "gnu" })]),
      Buffer.concat([
        gnuLongName("K", "t".repeat(150)),
        gnuLongName("L", "l".repeat(150)),
        tarEntry({ path: "cut", type: "2", link: "cut" }),
      ]),
    ],
  ],
  "extended attributes and capabilities": [
    [
      file("ping", "x", {
        mode: 0o755,
        pax: { "SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "first" },
      }),
      dir("d/", { pax: { "SCHILY.xattr.user.note": "of a directory" } }),
    ],
    [file("ping", "y", { mode: 0o755, pax: { "SCHILY.xattr.user.note": "second" } })],
  ],
  "owners above 65535, and special modes": [
    [
      file("far", "x", { uid: 70_000, gid: 3_000_000_000 }),
      file("su", "x", { mode: 0o4755, uid: 5 }),
      dir("tmp/", { mode: 0o1777 }),
      dir("sg/", { mode: 0o2775, gid: 50 }),
      file("sg/in", "x", { gid: 7 }),
    ],
    [dir("sg/", { mode: 0o755, uid: 9 })],
  ],
  "times with fractions, before the epoch, of links": [
    [
      file("fraction", "x", { pax: { mtime: "1500000000.123456789" } }),
      file("before", "x", { pax: { mtime: "-1.5" } }),
      { path: "link", type: "2", link: "fraction", mtime: 1_400_000_000 },
    ],
  ],
  "FIFOs and device nodes": [
    [
      { path: "pipe", type: "6", mode: 0o622 },
      { path: "null", type: "3", mode: 0o666, major: 1, minor: 3 },
      { path: "disk", type: "4", mode: 0o660, gid: 6, major: 7, minor: 0 },
    ],
    [file("pipe", "a file now"), file(".wh.null", "")],
  ],
  "twins in case and in Unicode": [
    [
      file("Readme"),
      file("README"),
      file("cut", "nfc", { pax: { path: "caf\u00e9" } }),
      file("cut", "nfd", { pax: { path: "cafe\u0301" } }),
      file("cut", "odd", { pax: { path: "a name \n with\ttabs and \\ slashes" } }),
    ],
    [file("cut", "", { pax: { path: ".wh.cafe\u0301" } }), file(".wh.README", "")],
  ],
  "ten thousand entries in a directory": [
    [dir("many/"), ...Array.from({ length: 10_000 }, (_, at) => file(`many/${at}`, at % 3 === 0 ? "" : "x"))],
    [file("many/.wh.77", ""), file("many/5000", "changed")],
  ],
  "parents that no entry makes": [[file("x/y/z/deep")], [file("x/y/other"), file("v/w")]],
  "sparse files": [sparseTar(), [file("after")]],
};

const put = (layout: string, mediaType: string, data: Buffer) => {
  const hex = createHash("sha256").update(data).digest("hex");
  writeFileSync(join(layout, "blobs/sha256", hex), data);
  return { mediaType, digest: `sha256:${hex}`, size: data.length };
};

function writeLayout(layout: string, layers: readonly Layer[]): void {
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  const tars = layers.map((layer) => (Buffer.isBuffer(layer) ? layer : makeTar(layer)));
  const platform = { architecture: process.arch === "x64" ? "amd64" : process.arch, os: "linux" };
  const json = (type: string, value: unknown) => put(layout, type, Buffer.from(JSON.stringify(value)));
  const diffIds = tars.map((tar) => `sha256:${createHash("sha256").update(tar).digest("hex")}`);
  const config = json("application/vnd.oci.image.config.v1+json", {
    ...platform,
    config: {},
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const blobs = tars.map((tar) => put(layout, "application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar)));
  const type = "application/vnd.oci.image.manifest.v1+json";
  const manifest = json(type, { schemaVersion: 2, mediaType: type, config, layers: blobs });
  const annotations = { "org.opencontainers.image.ref.name": "t" };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, platform, annotations }] };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

/**
 * Every entry with its metadata, which names are one file, contents hashed. Times of directories merge
 * differently, and overlayfs counts the links of hidden names.
 */
const DESCRIBE = `cd "$1"
  find . -type d -printf '%p %y %m %U:%G\\n' | sort
  find . ! -type d ! -type c ! -type b -printf '%p %y %m %U:%G %l %s %T@\\n' | sort
  find . \\( -type c -o -type b \\) -exec stat -c '%n %F %a %u:%g %t:%T %Y' {} + | sort
  find . -type f -links +1 -printf '%i %p\\n' | sort -k2 | awk '{ names[$1] = names[$1] " " $2; count[$1]++ }
    END { for (inode in names) if (count[inode] > 1) print "linked" names[inode] }' | sort
  find . -type f -print0 | sort -z | xargs -0 -r sha256sum
  find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m '^(user|security)[.]' -e hex 2>/dev/null`;

function describeTree(directory: string): string {
  const options = { encoding: "utf8", maxBuffer: 64 << 20, env: { ...process.env, LC_ALL: "C" } } as const;
  return execFileSync("sh", ["-c", DESCRIBE, "sh", directory], options);
}

/** The image's tree as containers see it, described inside a mount namespace of its own. */
async function describeImage(deps: ImageDeps, id: string): Promise<string> {
  const numbers = [...(imageStatus(deps, id)?.layers ?? [])].reverse();
  return await withLayers(deps, numbers, (roots) => describeOverlay(deps, roots));
}

function describeOverlay(deps: ImageDeps, lower: readonly string[]): string {
  const empty = join(deps.paths.root, "empty");
  mkdirSync(empty);
  const mount = `mount -t overlay overlay -o "lowerdir=$2:$3" /mnt; set -- /mnt`;
  const script = `${mount}\n${DESCRIBE}`;
  const args = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", "", lower.join(":"), empty];
  const options = { encoding: "utf8", maxBuffer: 64 << 20, env: { ...process.env, LC_ALL: "C" } } as const;
  return execFileSync("unshare", args, options);
}

let root: string;

beforeEach(() => {
  root = mkdtempSync("/tmp/berth-e2e-corpus-");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it.each(Object.entries(corpus))("%s", async (_name, layers) => {
  const layout = join(root, "layout");
  writeLayout(layout, layers);
  const oracle = describeTree(unpackWithUmoci(layout, root));
  expect(oracle.split("\n").length).toBeGreaterThan(3);
  const archive = join(root, "archive.tar");
  packLayout(layout, archive);
  for (const form of usableForms) await compare(form, archive, oracle);
});

async function compare(form: LayerForm, archive: string, oracle: string): Promise<void> {
  const deps = makeDeps(join(root, form), {}, { form });
  try {
    const [loaded] = await loadImage(deps, backgroundCall(), createReadStream(archive));
    const found = await describeImage(deps, loaded?.id ?? "");
    expect(found.split("\n"), form).toEqual(oracle.split("\n"));
    // And every layer is of the form, is sound and can be made again.
    for (const number of imageStatus(deps, loaded?.id ?? "")?.layers ?? []) {
      const [tree, record] = [deps.paths.layer(number), deps.paths.layerRecord(number)];
      expect(isImage(tree)).toBe(form === "erofs");
      expect((await deps.kernel.verifyLayer(tree, record)).damaged).toEqual([]);
    }
  } finally {
    await deps.registry.close();
    deps.store.close();
  }
}
