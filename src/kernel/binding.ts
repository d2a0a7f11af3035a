// The addon as the daemon's Kernel.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { builtFile } from "../lib/built-file.ts";
import { BerthError, wrapError } from "../lib/errors.ts";
import { type CgroupNative, makeCgroupKernel } from "./cgroup.ts";
import { type HostNative, makeHostKernel } from "./host.ts";
import type { Kernel } from "./kernel.ts";
import { makeLayerKernel, type NativeLayers } from "./layers.ts";
import { makeNetnsKernel, type NetnsNative } from "./netns.ts";
import { makeProcessKernel, type ProcessNative } from "./process.ts";
import { makeSeccompKernel, type SeccompNative } from "./seccomp.ts";
import { makeStatsKernel, type StatsNative } from "./stats.ts";

const NAME = "berth.node";

type Native = ProcessNative &
  CgroupNative &
  NetnsNative &
  NativeLayers &
  SeccompNative &
  StatsNative &
  HostNative;

/**
 * Loads the addon from `nativePath`, else from where BERTH_NATIVE says, else from beside this file or
 * from the build below a directory above it. Throws NOT_FOUND when it is nowhere.
 */
export function loadKernel(nativePath: string = findAddon(process.env, import.meta.dirname)): Kernel {
  const native = load(nativePath);
  return {
    ...makeProcessKernel(native),
    ...makeCgroupKernel(native),
    ...makeNetnsKernel(native),
    ...makeLayerKernel(native),
    ...makeSeccompKernel(native),
    ...makeStatsKernel(native),
    ...makeHostKernel(native),
  };
}

function load(path: string): Native {
  if (!existsSync(path)) {
    const next = 'run "npm run build", or name it in the environment variable BERTH_NATIVE';
    throw new BerthError("NOT_FOUND", `load the native addon "${path}": there is no such file; ${next}`);
  }
  try {
    return createRequire(import.meta.url)(resolve(path)) as Native;
  } catch (error) {
    throw wrapError(`load the native addon "${path}"`, error);
  }
}

/** As seen from src/kernel and from the bundle alike. */
function findAddon(env: NodeJS.ProcessEnv, from: string): string {
  if (env.BERTH_NATIVE !== undefined && env.BERTH_NATIVE !== "") return env.BERTH_NATIVE;
  const built = builtFile(NAME, from);
  if (built !== null) return built;
  throw new BerthError(
    "NOT_FOUND",
    `find the native addon ${NAME}: it is neither beside "${from}" nor in out/native/Release; ` +
      'run "npm run build", or name it in the environment variable BERTH_NATIVE',
  );
}
