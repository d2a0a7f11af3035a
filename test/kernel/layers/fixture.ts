// What the tests of layers share: the addon, a directory of their own, and a whole unpacking in one call.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import type { UnpackFiles, UnpackLimits, UnpackResult } from "../../../src/kernel/kernel.ts";
import { kernel, LIMITS } from "./kernel-only.ts";

export { kernel, LIMITS };

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
  afterAll(() => execFileSync("rm", ["-rf", scratch.path]));
  return scratch;
}

export async function unpack(
  directory: string,
  blob: Uint8Array,
  options: { limits?: Partial<UnpackLimits>; chunk?: number; files?: UnpackFiles } = {},
): Promise<UnpackResult> {
  const layer = kernel.unpackLayer(directory, { ...LIMITS, ...options.limits }, options.files);
  const chunk = options.chunk ?? 64 << 10;
  try {
    for (let at = await layer.resumeAt(); at < blob.length; at += chunk)
      await layer.write(blob.subarray(at, at + chunk));
    return await layer.finish();
  } finally {
    await layer.abort();
  }
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
