// An image made by other people's tools: umoci makes the layers and unpacks them again as the oracle.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdCompressSync } from "node:zlib";
import type { ImageDeps } from "../../../../src/images/deps.ts";
import { imageStatus } from "../../../../src/images/image-status.ts";
import type { Descriptor, ImageIndex, ImageManifest } from "../../../../src/types/oci-image.ts";
import { withLayers } from "./layers.ts";

/** A layout below `folder` with one image "t" of three layers: files, removals, replaced things. */
export function makeUmociImage(folder: string): string {
  const layout = join(folder, "layout");
  const bundle = join(folder, "bundle");
  run("umoci", "init", "--layout", layout);
  run("umoci", "new", "--image", `${layout}:t`);
  const layers = [
    `mkdir -p etc bin usr/share/doc var/lib/app var/lib/empty
     echo one > etc/one; echo two > etc/two; ln etc/one etc/hard
     ln -s ../etc/one bin/link; ln -s /absolute/target usr/absolute; mkfifo var/fifo
     head -c 3000000 /dev/urandom | base64 > usr/share/big
     chmod 4755 usr/share/big; chown 1000:2000 etc/two
     mkdir -m 1777 tmp; echo doc > usr/share/doc/a; echo doc > usr/share/doc/b; touch -d @1000000000 etc/one
     setfattr -n user.colour -v blue etc/two; printf x > 'var/lib/app/a name with spaces'`,
    `rm etc/two; rm -r usr/share/doc; mkdir usr/share/doc; echo new > usr/share/doc/c
     rm bin/link; echo b > bin/link`,
    `rm -r var/lib/app; rmdir var/lib/empty; echo file > var/lib/empty
     mkdir deep; cd deep
     for n in 1 2 3 4 5 6 7 8 9; do mkdir -p a/b/c; cd a/b/c; echo $n > f; done`,
  ];
  for (const script of layers) {
    run("umoci", "unpack", "--image", `${layout}:t`, bundle);
    run("sh", "-ec", `cd "$1"; ${script}`, "sh", join(bundle, "rootfs"));
    run("umoci", "repack", "--image", `${layout}:t`, bundle);
    rmSync(bundle, { recursive: true });
  }
  run("umoci", "config", "--image", `${layout}:t`, "--config.cmd", "sh", "--config.user", "1000:2000");
  return layout;
}

/** The same image with its layers in zstd, in another layout. */
export function withZstd(layout: string, target: string): string {
  cpSync(layout, target, { recursive: true });
  const put = (bytes: Buffer) => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(target, "blobs/sha256", hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const get = (descriptor: Descriptor) =>
    readFileSync(join(target, "blobs", descriptor.digest.replace(":", "/")));
  const index = JSON.parse(readFileSync(join(target, "index.json"), "utf8")) as ImageIndex;
  const entry = index.manifests[0] as Descriptor;
  const manifest = JSON.parse(get(entry).toString()) as ImageManifest;
  const layers = manifest.layers.map((layer) => ({
    mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
    ...put(zstdCompressSync(gunzipSync(get(layer)))),
  }));
  const changed = { ...entry, ...put(Buffer.from(JSON.stringify({ ...manifest, layers }))) };
  writeFileSync(join(target, "index.json"), JSON.stringify({ ...index, manifests: [changed] }));
  return target;
}

/** The tree that umoci unpacks. */
export function unpackWithUmoci(layout: string, folder: string): string {
  const bundle = join(folder, "oracle");
  run("umoci", "unpack", "--image", `${layout}:t`, bundle);
  return join(bundle, "rootfs");
}

export function pushLayout(layout: string, reference: string): void {
  const options = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
  run("skopeo", ...options, `oci:${layout}:t`, `docker://${reference}`);
}

/** Makes the image, pushes it to `reference`, and describes the tree that umoci unpacks of it. */
export function pushUmociImage(folder: string, reference: string): string {
  const layout = makeUmociImage(folder);
  pushLayout(layout, reference);
  return describeTree(unpackWithUmoci(layout, folder));
}

export function packLayout(layout: string, archive: string): void {
  mkdirSync(join(archive, ".."), { recursive: true });
  run("tar", "-cf", archive, "-C", layout, ".");
}

/** Every entry with its metadata and content. Times of directories are left out: merging changes them. */
export function describeTree(directory: string): string {
  const script = [
    'cd "$1"',
    "find . ! -type d -printf '%p %y %m %U:%G %l %n %T@\\n' -o -type d -printf '%p %y %m %U:%G\\n' | sort",
    "find . -type f -print0 | sort -z | xargs -0 -r sha256sum",
    "getfattr -R -P -d -m '^user[.]colour' -e hex . 2>/dev/null | sort",
  ];
  const options = { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } } as const;
  return execFileSync("sh", ["-c", script.join("\n"), "sh", directory], options);
}

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** The image's tree as overlay shows it, from inside a mount namespace of its own. */
export async function treeOf(deps: ImageDeps, reference: string, folder: string): Promise<string> {
  const numbers = [...(imageStatus(deps, reference)?.layers ?? [])].reverse();
  return await withLayers(deps, numbers, (roots) => describeOverlay(roots, folder));
}

function describeOverlay(roots: readonly string[], folder: string): string {
  // An overlay without an upper directory wants two lower ones.
  const lower = [...roots, mkdtempSync(join(folder, "empty-"))];
  const target = mkdtempSync(join(folder, "merged-"));
  const script = 'mount -t overlay overlay -o "lowerdir=$1" "$2" && cp -a --preserve=all "$2/." "$3"';
  const copy = mkdtempSync(join(folder, "copy-"));
  run(
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-ec",
    script,
    "sh",
    lower.join(":"),
    target,
    copy,
  );
  return describeTree(copy);
}
