// Builds addon, monitor and probe with cmake-js into out/native. npm runs this as the package's install
// script, so it must work offline, on any Node from 18 on, and whatever build tool started npm.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, "out/native");

/** pkg-config module -> Debian package that has its headers. */
const LIBRARIES = {
  libseccomp: "libseccomp-dev",
  libisal: "libisal-dev",
  libzstd: "libzstd-dev",
  nettle: "nettle-dev",
};
const PROGRAMS = { "c++": "build-essential", cmake: "cmake", "pkg-config": "pkg-config" };

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** Debian packages without which the build cannot work, in a stable order. */
function missingPackages() {
  const programs = Object.keys(PROGRAMS).filter((program) => !succeeds(program, ["--version"]));
  const missing = programs.map((program) => PROGRAMS[program]);
  if (programs.includes("pkg-config")) return [...missing, ...Object.values(LIBRARIES)];
  const libraries = Object.keys(LIBRARIES).filter((name) => !succeeds("pkg-config", ["--exists", name]));
  return [...missing, ...libraries.map((name) => LIBRARIES[name])];
}

/** What make or an outer npm passed on would change how cmake and ninja run. */
function cleanEnvironment() {
  const env = { ...process.env };
  for (const name of ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"]) delete env[name];
  // cmake-js turns npm settings called cmake_* or nodedir into options of its own.
  for (const name of Object.keys(env)) {
    if (/^npm_config_(nodedir|cmake_|target|arch|runtime|disturl)/i.test(name)) delete env[name];
  }
  env.HOME = join(output, "home");
  // First the pinned Node, then the one that runs this script: cmake-js is a "#!/usr/bin/env node" program.
  const path = [join(root, "node_modules/.bin"), dirname(process.execPath), env.PATH ?? "/usr/bin:/bin"];
  env.PATH = path.join(":");
  return env;
}

function findCmakeJs() {
  try {
    const manifest = createRequire(join(root, "package.json")).resolve("cmake-js/package.json");
    return join(dirname(manifest), "bin/cmake-js");
  } catch {
    return null;
  }
}

function fail(message) {
  console.error(`native-build: ${message}`);
  process.exit(1);
}

/**
 * npm 9 leaves node_modules/.bin/node out: it links the pinned Node, then removes the link together with the
 * optional package of the other CPU, which has a program of the same name.
 */
function linkNode() {
  const link = join(root, "node_modules/.bin/node");
  const target = `../node-linux-${process.arch}/bin/node`;
  if (existsSync(link) || !existsSync(join(dirname(link), target))) return;
  rmSync(link, { force: true });
  symlinkSync(target, link);
}

/** cmake-js wants a recent Node: the pinned one when npm has put it there, else the one that runs this. */
function findNode() {
  const pinned = join(root, "node_modules/.bin/node");
  return existsSync(pinned) ? pinned : process.execPath;
}

/** A configured tree knows its sources by absolute path: after the project moved it is of no use. */
function dropMovedCache() {
  const cache = join(output, "CMakeCache.txt");
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  if (home !== join(root, "addon")) rmSync(output, { recursive: true, force: true });
}

/** Newest modification time below `directory`, so that an unchanged tree costs no cmake run. */
function newest(directory) {
  let time = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    time = Math.max(time, statSync(path).mtimeMs, entry.isDirectory() ? newest(path) : 0);
  }
  return time;
}

function sources() {
  return [join(root, "addon"), join(root, "test/probe")].filter((path) => existsSync(path));
}

function isCurrent(stamp) {
  if (process.argv.includes("--force") || !existsSync(stamp)) return false;
  const products = ["berth.node", "probe"].map((name) => join(output, "Release", name));
  if (!products.every((path) => existsSync(path))) return false;
  const built = statSync(stamp).mtimeMs;
  return sources().every((directory) => newest(directory) < built);
}

function build() {
  linkNode();
  const stamp = join(output, ".built");
  if (isCurrent(stamp)) return;
  const started = Date.now();
  const missing = missingPackages();
  if (missing.length > 0) {
    const list = missing.join(" ");
    fail(`Debian packages are missing: ${list}\n  apt-get install ${list}\nor: npm run setup`);
  }
  const cmakeJs = findCmakeJs();
  if (cmakeJs === null) fail("cmake-js is not installed; run: npm ci");
  dropMovedCache();
  mkdirSync(join(output, "home"), { recursive: true });
  const cores = String(cpus().length || 1);
  const args = [cmakeJs, "build", "--directory", join(root, "addon"), "--out", output, "--parallel", cores];
  // flock: an npm install and a test run may want to build at the same time.
  const command = [join(root, "out/native.lock"), findNode(), ...args, "--log-level", "warn"];
  const result = spawnSync("flock", command, {
    cwd: root,
    env: cleanEnvironment(),
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.error) fail(`start flock: ${result.error.message}`);
  if (result.status !== 0) {
    const how = `exit ${result.status ?? result.signal}`;
    fail(`the C++ build in "${relative(root, output)}" failed (${how}); see above`);
  }
  // Back-dated to the start: a source saved during the build is newer than the stamp.
  writeFileSync(stamp, "");
  spawnSync("touch", ["-d", `@${(started / 1000).toFixed(3)}`, stamp]);
}

build();
