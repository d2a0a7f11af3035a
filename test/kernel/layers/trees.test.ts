// The same layer by berth, by GNU tar and by umoci: the trees must be alike.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { describeTree, isImage, unpack, useScratch } from "./fixture.ts";
import { makeTar } from "./tar-builder.ts";

const scratch = useScratch();

/** A tree with everything in it, different for each seed and the same every time. */
function growTree(root: string, seed: number): void {
  const script = `
    cd "$1"; RANDOM=$2
    for d in $(seq 12); do
      dir=$(printf 'd%s/' $(seq $((RANDOM % 5 + 1)) | head -n $((RANDOM % 4 + 1))))x$d
      mkdir -p "$dir"; chmod $((RANDOM % 8))7$((RANDOM % 8))$((RANDOM % 8)) "$dir"
      for f in $(seq $((RANDOM % 6 + 1))); do
        name="$dir/f$f $RANDOM"
        head -c $((RANDOM * (RANDOM % 40))) /dev/zero | tr '\\0' "\\$((RANDOM % 7 + 1))" > "$name"
        chown $((RANDOM * 100)):$((RANDOM * 100)) "$name"
        chmod $((RANDOM % 8))$((RANDOM % 8))$((RANDOM % 8))$((RANDOM % 8)) "$name"
        touch -h -d "@$((RANDOM * 50000)).$RANDOM" "$name"
        [ $((RANDOM % 3)) = 0 ] && ln "$name" "$dir/hard$f"
        [ $((RANDOM % 3)) = 0 ] && ln -s "../$RANDOM/nowhere" "$dir/soft$f"
        [ $((RANDOM % 3)) = 0 ] && setfattr -n user.test$RANDOM -v "value $RANDOM" "$name"
      done
    done
    mkfifo pipe; mknod null c 1 3; mknod disk b 7 200
    long=$(printf 'n%.0s' $(seq 200)); mkdir -p "$long/$long"; echo long > "$long/$long/$long"
    truncate -s 5M sparse; printf data | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none
    find . -depth -type d -exec touch -d @1234567890.5 {} +
  `;
  execFileSync("bash", ["-c", script, "bash", root, String(seed)]);
}

/** `ls -l` level facts without what is allowed to differ: link counts of directories. */
const tree = (root: string) => describeTree(root).replace(/^(.* d \d+ \S+ ) ?\d+ /gm, "$1");

const FORMATS: [string, string[]][] = [
  ["pax", ["--format=pax", "--xattrs", "--xattrs-include=*"]],
  ["pax, sparse 1.0", ["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse"]],
  ["pax, sparse 0.1", ["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=0.1"]],
  ["pax, sparse 0.0", ["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=0.0"]],
  ["gnu", ["--format=gnu"]],
  ["gnu, sparse", ["--format=gnu", "--sparse"]],
];

test.each(FORMATS)("a random tree unpacks as GNU tar unpacks it: %s", async (name, options) => {
  const source = scratch.fresh("source");
  growTree(source, name.length * 7);
  const archive = join(scratch.path, `${name}.tar`);
  execFileSync("tar", [...options, "-C", source, "-cf", archive, "."]);
  const expected = scratch.fresh("expected");
  execFileSync("tar", ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", expected, "-xpf", archive]);
  const root = scratch.fresh();
  await unpack(root, gzipSync(readFileSync(archive)));
  expect(tree(root)).toBe(tree(expected));
  // EROFS counts holes as well; those of images are seen in their own test.
  const isCounted = options.includes("--sparse") && !isImage();
  if (isCounted) expect(statSync(join(root, "sparse")).blocks).toBeLessThan(100);
});

test("a layer unpacks as umoci unpacks it", async () => {
  const source = scratch.fresh("source");
  growTree(source, 4711);
  const archive = join(scratch.path, "umoci.tar");
  execFileSync("tar", [
    "--format=pax",
    "--xattrs",
    "--xattrs-include=user.*",
    "-C",
    source,
    "-cf",
    archive,
    ".",
  ]);
  const layer = readFileSync(archive);
  const layout = scratch.fresh("layout");
  writeLayout(layout, layer);
  const bundle = join(scratch.path, "bundle");
  execFileSync("umoci", ["unpack", "--image", `${layout}:latest`, bundle], { stdio: "pipe" });
  const root = scratch.fresh();
  await unpack(root, layer);
  expect(tree(root)).toBe(tree(join(bundle, "rootfs")));
});

/** An OCI image layout (image-spec, image-layout.md) of one layer. */
function writeLayout(directory: string, layer: Buffer): void {
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  const add = (data: Buffer, mediaType: string) => {
    const hex = createHash("sha256").update(data).digest("hex");
    writeFileSync(join(directory, "blobs/sha256", hex), data);
    return {
      mediaType: `application/vnd.oci.image.${mediaType}`,
      digest: `sha256:${hex}`,
      size: data.length,
    };
  };
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const layers = [add(layer, "layer.v1.tar")];
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const config = add(json({ architecture: "amd64", os: "linux", config: {}, rootfs }), "config.v1+json");
  const manifest = add(json({ schemaVersion: 2, config, layers }), "manifest.v1+json");
  const annotations = { "org.opencontainers.image.ref.name": "latest" };
  writeFileSync(
    join(directory, "index.json"),
    json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  writeFileSync(join(directory, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
}

test("sparse maps that lie are refused", async () => {
  const sparse = (records: Record<string, string>, data: string) =>
    makeTar([{ path: "s", pax: { "GNU.sparse.size": "1000", ...records }, data }]);
  const one = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1000" };
  const cases = [
    sparse({ "GNU.sparse.map": "0,5,3,5" }, "0123456789"),
    sparse({ "GNU.sparse.map": "998,10" }, "0123456789"),
    sparse({ "GNU.sparse.map": "0,5" }, "0123456789"),
    sparse({ "GNU.sparse.map": "0,10,20" }, "0123456789"),
    sparse({ "GNU.sparse.map": "0,x" }, "0123456789"),
    sparse({ "GNU.sparse.offset": "0" }, "0123456789"),
    makeTar([{ path: "s", pax: one, data: "1\n0\n" }]),
    makeTar([{ path: "s", pax: one, data: `99999999\n${"0\n".repeat(300)}` }]),
    makeTar([{ path: "s", pax: one, data: "0".repeat(600) }]),
  ];
  for (const blob of cases) await expect(unpack(scratch.fresh(), blob)).rejects.toThrow(/sparse/);
});
