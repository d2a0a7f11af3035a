// Brings a Debian 12 machine to where everything builds and runs: packages, npm modules, the native parts,
// the bundles. Does only what is missing; with nothing missing it takes well under a second. Runs on any
// Node from 18 on; the project's own Node 24 comes through npm.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildCniPlugins } from "./build-cni-plugins.mjs";
import { buildCriTools } from "./build-cri-tools.mjs";
import { buildSanitized } from "./build-sanitized.mjs";
import { hasGo } from "./lib/go.mjs";
import { areModulesCurrent, setUpModules } from "./lib/modules.mjs";
import {
  BUILD_PACKAGES,
  installPackages,
  missingPackages,
  RUN_PACKAGES,
  TEST_PACKAGES,
} from "./lib/packages.mjs";
import { projectNode, projectRoot, run } from "./lib/run.mjs";
import { isCurrent, markCurrent, newestChange } from "./lib/stamp.mjs";

const OLDEST_NODE = 18;

async function setUpPackages(forTests) {
  const wanted = [...BUILD_PACKAGES, ...RUN_PACKAGES, ...(forTests ? TEST_PACKAGES : [])];
  // Debian's Go is too old to build crictl and critest, but it can get a newer one (lib/go.mjs).
  if (forTests && !hasGo()) wanted.push("golang-go");
  const missing = await missingPackages(wanted);
  if (missing.length === 0) return;
  console.log(`setup: installing ${missing.join(" ")}`);
  await installPackages(missing);
}

async function setUpNative() {
  await run(projectNode(), [join(projectRoot, "scripts/native-build.mjs")]);
}

async function setUpBundles() {
  const sources = ["src", "proto", "package-lock.json", "scripts/bundle.mjs"];
  const newest = Math.max(...sources.map((name) => newestChange(join(projectRoot, name))));
  const products = ["out/berthd.mjs", "out/berth.cjs", "out/berthd", "out/berth"].map((name) =>
    join(projectRoot, name),
  );
  const stamp = String(newest);
  if (isCurrent("bundles", stamp) && products.every((path) => existsSync(path))) return;
  await run(projectNode(), [join(projectRoot, "scripts/bundle.mjs")]);
  markCurrent("bundles", stamp);
}

/** The pinned Node must be there: without it everything would run on whatever Node started us. */
async function checkNode() {
  const { stdout } = await run(projectNode(), ["--version"], { quiet: true });
  if (Number(/^v(\d+)/.exec(stdout)?.[1]) < 22) {
    throw new Error(
      `npm did not install the project's own Node (found ${stdout.trim()}); run: npm ci --include=optional`,
    );
  }
}

/**
 * @param {{ forTests?: boolean, modulesOnly?: boolean }} options with forTests also what only tests need: a
 *   registry, crictl, critest, the C++ under sanitizers, …; with modulesOnly nothing but the npm modules and
 *   what they need
 * @returns {Promise<{ setupMs: number, buildMs: number }>} how long installing and building took
 */
export async function setup({ forTests = false, modulesOnly = false } = {}) {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < OLDEST_NODE)
    throw new Error(`Node ${OLDEST_NODE} or newer is needed to start; this is ${process.version}`);
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  if (modulesOnly && areModulesCurrent()) return { setupMs: elapsed(), buildMs: 0 };
  // Without root only what a build needs is asked for: the rest would not be used.
  if (existsSync("/usr/bin/dpkg-query")) await setUpPackages(forTests);
  await setUpModules();
  if (modulesOnly) return { setupMs: elapsed(), buildMs: 0 };
  const installed = performance.now();
  await setUpNative();
  await checkNode();
  await setUpBundles();
  if (forTests) {
    await buildSanitized();
    await buildCriTools();
    await buildCniPlugins();
  }
  return { setupMs: installed - started, buildMs: performance.now() - installed };
}

if (process.argv[1]?.endsWith("/setup.mjs")) {
  setup({ forTests: process.argv.includes("--tests") }).then(
    ({ setupMs, buildMs }) => console.log(`setup: ready (${((setupMs + buildMs) / 1000).toFixed(1)} s)`),
    (error) => {
      console.error(`setup: ${error.message}`);
      process.exitCode = 1;
    },
  );
}
