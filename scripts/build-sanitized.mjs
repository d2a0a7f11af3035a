// Builds the C++ tests and a monitor under ASan and UBSan into out/sanitize, for the kernel tier. Does
// nothing while no source has changed.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { projectRoot, run } from "./lib/run.mjs";
import { isCurrent, markCurrent, newestChange } from "./lib/stamp.mjs";

const output = join(projectRoot, "out/sanitize");
const PRODUCTS = ["layers_fuzz", "monitor_fuzz", "berth-monitor"];

/** A configured tree knows its sources by absolute path, and its build tool: a foreign one is of no use. */
function dropForeignCache(generator) {
  const cache = join(output, "CMakeCache.txt");
  if (!existsSync(cache)) return;
  const text = readFileSync(cache, "utf8");
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(text)?.[1];
  const made = /^CMAKE_GENERATOR:INTERNAL=(.*)$/m.exec(text)?.[1];
  if (home !== join(projectRoot, "addon") || made !== generator)
    rmSync(output, { recursive: true, force: true });
}

/** Throws when the build fails. */
export async function buildSanitized() {
  const newest = Math.max(...["addon", "test/native"].map((name) => newestChange(join(projectRoot, name))));
  const isBuilt = PRODUCTS.every((name) => existsSync(join(output, name)));
  if (isBuilt && isCurrent("sanitized", String(newest))) return;
  const hasNinja = spawnSync("ninja", ["--version"], { stdio: "ignore" }).status === 0;
  const generator = hasNinja ? "Ninja" : "Unix Makefiles";
  dropForeignCache(generator);
  mkdirSync(output, { recursive: true });
  const configure = ["-G", generator, "-S", join(projectRoot, "addon"), "-B", output, "-DBERTH_SANITIZE=ON"];
  // One at a time: two test runs may want to build.
  const lock = join(projectRoot, "out/sanitize.lock");
  await run("flock", [lock, "cmake", ...configure], { quiet: true });
  const build = ["--build", output, "--target", "sanitized", "--parallel", String(cpus().length || 1)];
  await run("flock", [lock, "cmake", ...build], { quiet: true });
  markCurrent("sanitized", String(newest));
}

if (process.argv[1]?.endsWith("/build-sanitized.mjs")) await buildSanitized();
