// Finds, or gets through the Go module proxy, a Go that is new enough for a module.

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { isOnPath, projectRoot, run } from "./run.mjs";

const ARCHITECTURES = { x64: "amd64", arm64: "arm64" };

function isAtLeast(version, wanted) {
  const left = version.split(".").map(Number);
  const right = wanted.split(".").map(Number);
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

async function versionOf(go) {
  try {
    const { stdout } = await run(go, ["env", "GOVERSION"], { quiet: true, env: { GOTOOLCHAIN: "local" } });
    return stdout.trim().replace(/^go/, "");
  } catch {
    // Not there, or not runnable: the next candidate is asked.
    return null;
  }
}

/** Every file that go executes lost its mode in the module cache of an old Go. */
function makeExecutable(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) makeExecutable(path);
    else chmodSync(path, 0o755);
  }
}

/**
 * Toolchains are modules too (golang.org/toolchain), checked against the checksum database like any other.
 * A Go before 1.21 does not switch to one by itself but can download it.
 */
async function installToolchain(go, wanted) {
  const target = join(projectRoot, "out/tools", `go${wanted}`);
  if (existsSync(join(target, "bin/go"))) return join(target, "bin/go");
  const name = `golang.org/toolchain@v0.0.1-go${wanted}.linux-${ARCHITECTURES[process.arch]}`;
  console.log(`  getting Go ${wanted} through the module proxy`);
  const env = { GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod" };
  const { stdout } = await run(go, ["mod", "download", "-json", name], { quiet: true, cwd: "/", env });
  const staging = `${target}.part`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(join(projectRoot, "out/tools"), { recursive: true });
  cpSync(JSON.parse(stdout).Dir, staging, { recursive: true });
  await run("chmod", ["-R", "u+w", staging], { quiet: true });
  makeExecutable(join(staging, "bin"));
  makeExecutable(join(staging, "pkg/tool"));
  renameSync(staging, target);
  return join(target, "bin/go");
}

const CANDIDATES = ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go"];

/** True when there is a Go of whatever version. */
export function hasGo() {
  return isOnPath("go") || CANDIDATES.some((path) => path.startsWith("/") && existsSync(path));
}

/** Path of a go program that satisfies the go line of `goMod`. Throws, saying what to install. */
export async function findGo(goMod) {
  const wanted = /^go (\d+\.\d+(?:\.\d+)?)$/m.exec(readFileSync(goMod, "utf8"))?.[1];
  if (wanted === undefined) throw new Error(`"${goMod}" has no go line`);
  let older = null;
  for (const candidate of CANDIDATES) {
    const version = await versionOf(candidate);
    if (version !== null && isAtLeast(version, wanted)) return candidate;
    if (version !== null) older ??= candidate;
  }
  if (older !== null) return installToolchain(older, wanted);
  throw new Error(
    `Go ${wanted} is needed for the tests; install it in /usr/local/go, or: apt-get install golang-go`,
  );
}
