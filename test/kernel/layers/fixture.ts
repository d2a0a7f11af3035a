// What the tests of layers share: the addon, a directory of their own, and a whole unpacking in one call.

import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import type {
  LayerForm,
  LayerUnpack,
  UnpackFiles,
  UnpackLimits,
  UnpackResult,
} from "../../../src/kernel/kernel.ts";
import { kernel, LIMITS } from "./kernel-only.ts";

export { kernel, LIMITS };

let form: LayerForm = "directory";
const mounts: number[] = [];

/** The form of all layers that this file's tests unpack from here on. */
export function useForm(wanted: LayerForm): void {
  form = wanted;
}

/** All tests of the file are about images, and skipped on a host that cannot use them. */
export function useImages(): void {
  useForm("erofs");
  let why = "";
  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), "berth-probe-"));
    why = await kernel.probeErofs(directory);
    rmdirSync(directory);
  });
  beforeEach((context) => context.skip(why !== "", `layers cannot be images here: ${why}`));
}

export const isImage = () => form === "erofs";

/** A directory for the file's tests, removed after the last. */
export function useScratch(): { path: string; fresh(name?: string): string } {
  let count = 0;
  const scratch = {
    path: "",
    fresh(name = "layer"): string {
      const path = join(scratch.path, `${name}-${count++}`);
      mkdirSync(path);
      return path;
    },
  };
  beforeAll(() => {
    scratch.path = mkdtempSync(join(tmpdir(), "berth-layers-"));
  });
  // rmSync cannot remove paths longer than PATH_MAX.
  afterAll(() => {
    for (const fd of mounts.splice(0)) closeSync(fd);
    execFileSync("rm", ["-rf", scratch.path]);
  });
  return scratch;
}

/** Begins to unpack into an empty directory, or into an image beside it. */
export function begin(
  directory: string,
  limits: UnpackLimits = LIMITS,
  files: UnpackFiles = {},
): LayerUnpack {
  return kernel.unpackLayer(isImage() ? `${directory}.image` : directory, limits, files, undefined, form);
}

/** Unpacks into an empty directory. An image is mounted, and the directory becomes a link to its root. */
export async function unpack(
  directory: string,
  blob: Uint8Array,
  options: { limits?: Partial<UnpackLimits>; chunk?: number; files?: UnpackFiles } = {},
): Promise<UnpackResult> {
  const layer = begin(directory, { ...LIMITS, ...options.limits }, options.files);
  const chunk = options.chunk ?? 64 << 10;
  let result: UnpackResult | undefined;
  try {
    for (let at = await layer.resumeAt(); at < blob.length; at += chunk)
      await layer.write(blob.subarray(at, at + chunk));
    result = await layer.finish();
  } finally {
    await layer.abort();
    if (result === undefined && isImage()) rmSync(`${directory}.image`, { force: true });
  }
  if (isImage()) {
    const mount = await kernel.mountLayer(`${directory}.image`);
    mounts.push(mount);
    rmdirSync(directory);
    symlinkSync(`/proc/${process.pid}/fd/${mount}`, directory);
  }
  return result;
}

/** The tar that a layer and its record give. */
export async function recreate(layer: string, record: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of kernel.recreateLayer(layer, record)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Every entry below a directory with all its metadata, sorted, one line each; contents by checksum. */
export function describeTree(directory: string): string {
  const script = [
    'cd "$1"',
    "find . -mindepth 1 -printf '%p %y %m %U:%G %l %n %T@\\n' | sort",
    "find . -type f -print0 | sort -z | xargs -0 -r sha256sum",
    "find . -mindepth 1 -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -e hex 2>/dev/null",
  ].join("\n");
  return execFileSync("sh", ["-ec", script, "sh", directory], { encoding: "utf8", maxBuffer: 64 << 20 });
}

/** One extended attribute of a path, links not followed, in hexadecimal; null when it has none. */
export function xattrOf(path: string, name: string): string | null {
  try {
    const args = ["-h", "-n", name, "--only-values", "-e", "text", "--absolute-names", path];
    return execFileSync("getfattr", args, { stdio: ["ignore", "pipe", "ignore"] }).toString("hex");
  } catch {
    return null;
  }
}

/** Runs a shell script in a mount namespace of its own, so that what it mounts goes with it. */
export function inPrivateMounts(script: string, ...args: string[]): string {
  return execFileSync("unshare", ["-m", "--propagation", "private", "sh", "-ec", script, "sh", ...args], {
    encoding: "utf8",
  });
}

/** The host's mounts of images and overlays. Others come and go with what runs beside the tests. */
export function layerMounts(): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.filter((line) => / - (?:erofs|overlay) /.test(line));
}
