// The images that are pulled, made of this host's files under /usr and kept in out/bench-images.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { runProgram } from "../run/cleanup.ts";

export interface BenchImage {
  readonly name: "realistic" | "large" | "small";
  /** "5 layers, 628 MB of tar in 71,000 entries, 260 MB as gzip". */
  readonly facts: string;
  /** OCI image layout directory. */
  readonly layout: string;
  /** Compressed layers, the lowest first. */
  readonly blobs: readonly string[];
}

interface Entry {
  readonly path: string;
  /** 0 unless it is a file. */
  readonly size: number;
}

interface LayerBlob {
  readonly digest: string;
  readonly diffId: string;
  readonly size: number;
  readonly tarBytes: number;
  readonly entries: number;
}

const FORMAT = "v1";
const MB = 1_000_000;

/** Everything below /usr, in an order that mixes it but is the same each time. */
async function hostEntries(): Promise<Entry[]> {
  const printed = await runProgram("find", [
    ...["/usr", "-xdev", "(", "-type", "f", "-o", "-type", "l", ")"],
    ...["-printf", "%y %s %P\\n"],
  ]);
  const entries = printed.split("\n").flatMap((line) => {
    const [, type, size, path] = /^(.) (\d+) (.+)$/.exec(line) ?? [];
    return path === undefined ? [] : [{ path: `usr/${path}`, size: type === "f" ? Number(size) : 0 }];
  });
  const keyed = entries.map((entry) => ({ entry, key: createHash("md5").update(entry.path).digest("hex") }));
  return keyed.sort((left, right) => (left.key < right.key ? -1 : 1)).map(({ entry }) => entry);
}

const byPath = (left: Entry, right: Entry) => (left.path < right.path ? -1 : 1);

/** Up to `count` entries of about `bytes` in all: what would take more than its share is left out. */
function choose(entries: readonly Entry[], count: number, bytes: number): Entry[] {
  const chosen: Entry[] = [];
  let taken = 0;
  for (const entry of entries) {
    if (chosen.length >= count) break;
    if (taken + entry.size > (bytes * (chosen.length + 1)) / count + bytes / 50) continue;
    taken += entry.size;
    chosen.push(entry);
  }
  return chosen.sort(byPath);
}

/** The entries in order, each directory before what is in it. */
function withDirectories(entries: readonly Entry[]): Entry[] {
  const directories = new Set<string>();
  return entries.flatMap((entry) => {
    const parts = entry.path.split("/").slice(0, -1);
    const missing = parts
      .map((_, at) => parts.slice(0, at + 1).join("/"))
      .filter((path) => !directories.has(path));
    for (const path of missing) directories.add(path);
    return [...missing.map((path) => ({ path, size: 0 })), entry];
  });
}

function split(entries: readonly Entry[], shares: readonly number[]): Entry[][] {
  const total = shares.reduce((sum, share) => sum + share, 0);
  let done = 0;
  return shares.map((share) => {
    const from = Math.round((done / total) * entries.length);
    done += share;
    return withDirectories(entries.slice(from, Math.round((done / total) * entries.length)));
  });
}

async function packLayer(folder: string, entries: readonly Entry[]): Promise<LayerBlob> {
  const list = join(folder, `list-${process.pid}`);
  writeFileSync(list, `${entries.map(({ path }) => path).join("\0")}\0`);
  const options = ["--format=gnu", "--no-recursion", "--null", "--numeric-owner", "--owner=0", "--group=0"];
  const tar = spawn("tar", ["-cf", "-", ...options, "-C", "/", "-T", list], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gzip = spawn("gzip", ["-n", "-6"], { stdio: ["pipe", "pipe", "inherit"] });
  const staging = join(folder, `layer-${process.pid}`);
  const tarHash = createHash("sha256");
  const blobHash = createHash("sha256");
  let [tarBytes, size] = [0, 0];
  const measured = (add: (chunk: Buffer) => void) => new PassThrough().on("data", add);
  await Promise.all([
    pipeline(
      tar.stdout,
      measured((chunk) => {
        tarBytes += chunk.length;
        tarHash.update(chunk);
      }),
      gzip.stdin,
    ),
    pipeline(
      gzip.stdout,
      measured((chunk) => {
        size += chunk.length;
        blobHash.update(chunk);
      }),
      createWriteStream(staging),
    ),
  ]);
  rmSync(list);
  const hex = blobHash.digest("hex");
  renameSync(staging, join(folder, "layout/blobs/sha256", hex));
  const diffId = `sha256:${tarHash.digest("hex")}`;
  return { digest: `sha256:${hex}`, diffId, size, tarBytes, entries: entries.length };
}

function writeLayout(folder: string, layers: readonly LayerBlob[]): void {
  const layout = join(folder, "layout");
  const platform = { architecture: process.arch === "x64" ? "amd64" : process.arch, os: "linux" };
  const put = (mediaType: string, value: unknown) => {
    const data = Buffer.from(JSON.stringify(value));
    const hex = createHash("sha256").update(data).digest("hex");
    writeFileSync(join(layout, "blobs/sha256", hex), data);
    return { mediaType, digest: `sha256:${hex}`, size: data.length };
  };
  const config = put("application/vnd.oci.image.config.v1+json", {
    ...platform,
    config: { Cmd: ["true"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifestType = "application/vnd.oci.image.manifest.v1+json";
  const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";
  const manifest = put(manifestType, {
    schemaVersion: 2,
    mediaType: manifestType,
    config,
    layers: layers.map(({ digest, size }) => ({ mediaType: layerType, digest, size })),
  });
  const index = { schemaVersion: 2, manifests: [{ ...manifest, platform }] };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

async function make(
  root: string,
  name: BenchImage["name"],
  layers: () => Promise<Entry[][]>,
): Promise<BenchImage> {
  const folder = join(root, `${FORMAT}-${name}`);
  if (!existsSync(folder)) {
    const staging = `${folder}.${process.pid}`;
    rmSync(staging, { recursive: true, force: true });
    mkdirSync(join(staging, "layout/blobs/sha256"), { recursive: true });
    const made: LayerBlob[] = [];
    for (const entries of await layers()) made.push(await packLayer(staging, entries));
    writeLayout(staging, made);
    writeFileSync(join(staging, "layers.json"), JSON.stringify(made));
    renameSync(staging, folder);
  }
  const made = JSON.parse(readFileSync(join(folder, "layers.json"), "utf8")) as LayerBlob[];
  const sum = (of: (layer: LayerBlob) => number) => made.reduce((total, layer) => total + of(layer), 0);
  const megabytes = (bytes: number) => `${Math.round(bytes / MB)} MB`;
  const count = sum(({ entries }) => entries).toLocaleString("en");
  const layout = join(folder, "layout");
  return {
    name,
    facts:
      `${made.length} ${made.length === 1 ? "layer" : "layers"}, ` +
      `${megabytes(sum(({ tarBytes }) => tarBytes))} ` +
      `of tar in ${count} entries, ${megabytes(sum(({ size }) => size))} as gzip`,
    layout,
    blobs: made.map(({ digest }) => join(layout, "blobs", digest.replace(":", "/"))),
  };
}

/** The three images; `scale` below 1 makes them smaller, to try the benchmark out. */
export async function makeBenchImages(project: string, scale: number): Promise<BenchImage[]> {
  const root = join(project, "out/bench-images", `x${scale}`);
  mkdirSync(root, { recursive: true });
  let found: Promise<Entry[]> | undefined;
  const entries = () => {
    found ??= hostEntries();
    return found;
  };
  return [
    await make(root, "realistic", async () =>
      split(choose(await entries(), 62_000 * scale, 580 * MB * scale), [2, 7, 6, 4, 1]),
    ),
    await make(root, "large", async () => {
      const large = (await entries()).filter(({ size }) => size > 100_000 && size < 50 * MB);
      return split(choose(large, 1_500 * scale, 1_000 * MB * scale), [1]);
    }),
    await make(root, "small", async () =>
      split(choose(await entries(), 3_000 * scale, 60 * MB * scale), Array<number>(50).fill(1)),
    ),
  ];
}
