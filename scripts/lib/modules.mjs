// The npm modules: whether what is installed is what package-lock.json says, and installing it.

import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { projectEnvironment, projectRoot, run } from "./run.mjs";

/** Some packages of the lock file declare themselves unfit for an older Node than this. */
const OLDEST_FOR_ALL = 22;

function readLock(path) {
  try {
    return JSON.parse(readFileSync(join(projectRoot, path), "utf8")).packages;
  } catch {
    // Missing or half written: what it would say counts as not installed.
    return null;
  }
}

/** True for native code for this very machine. Optional packages without a platform serve such for others. */
function isForThisMachine({ os, cpu, libc }) {
  if (os === undefined && cpu === undefined) return false;
  const fits = (list, own) => list === undefined || [list].flat().includes(own);
  return fits(os, "linux") && fits(cpu, process.arch) && fits(libc, "glibc");
}

/** Compares what npm installed with package-lock.json; a package for another machine may be missing. */
export function areModulesCurrent() {
  const wanted = readLock("package-lock.json");
  const installed = readLock("node_modules/.package-lock.json");
  if (wanted === null || installed === null) return false;
  return Object.entries(wanted).every(([path, facts]) => {
    if (path === "") return true;
    const found = installed[path];
    if (found !== undefined) return found.version === facts.version && existsSync(join(projectRoot, path));
    return facts.optional === true && !isForThisMachine(facts);
  });
}

const npmCi = (args, env) =>
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error", ...args], { env });

/**
 * An npm that runs on an old Node leaves out optional packages that want a newer one, without a word. So
 * that Node comes first, through the same lock file, and then runs npm for everything else.
 */
async function getNodeFirst() {
  const folder = join(projectRoot, "out/tools/node");
  mkdirSync(folder, { recursive: true });
  await npmCi(["--omit=dev", "--include=optional", "--ignore-scripts"], {});
  const pinned = join(projectRoot, `node_modules/node-linux-${process.arch}/bin/node`);
  if (!existsSync(pinned))
    throw new Error(`npm did not install "${pinned}"; is this CPU (${process.arch}) supported?`);
  // npm ci removes node_modules, the Node in it included.
  copyFileSync(pinned, join(folder, "node"));
  return { PATH: [folder, projectEnvironment().PATH].join(delimiter) };
}

export async function setUpModules() {
  if (areModulesCurrent()) return;
  console.log("setup: npm ci");
  const isOld = Number(process.versions.node.split(".")[0]) < OLDEST_FOR_ALL;
  await npmCi(["--include=dev", "--include=optional"], isOld ? await getNodeFirst() : {});
}
