// Bundles the daemon and the command line into out/, with small launchers that use the project's own Node:
// out/berthd.mjs, out/berth.cjs, out/berthd, out/berth.

import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { projectRoot } from "./lib/run.mjs";

const out = join(projectRoot, "out");

/** CommonJS packages inside an ES module ask for what only CommonJS has. */
const BANNER = [
  'import { createRequire as makeBundleRequire } from "node:module";',
  "const require = makeBundleRequire(import.meta.url);",
  "const __filename = import.meta.filename;",
  "const __dirname = import.meta.dirname;",
].join("\n");

const shared = {
  bundle: true,
  platform: "node",
  target: "node22",
  legalComments: "linked",
  logLevel: "warning",
  absWorkingDir: projectRoot,
};

/** A launcher finds Node beside the modules that npm installed, wherever the project lies. */
function writeLauncher(name, bundle) {
  const path = join(out, name);
  const lines = [
    "#!/bin/sh",
    'here=$(dirname "$(readlink -f "$0")")',
    'node="$here/../node_modules/.bin/node"',
    '[ -x "$node" ] || node=node',
    `exec "$node" "$here/${bundle}" "$@"`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  chmodSync(path, 0o755);
}

async function bundle(entry, outfile, options) {
  if (!existsSync(join(projectRoot, entry))) throw new Error(`bundle: "${entry}" is not there`);
  await build({ ...shared, entryPoints: [entry], outfile: join("out", outfile), ...options });
}

mkdirSync(out, { recursive: true });
await bundle("src/daemon.ts", "berthd.mjs", {
  format: "esm",
  // Native code stays outside: better-sqlite3 finds its own binary, src/kernel/binding.ts finds ours.
  external: ["better-sqlite3", "*.node"],
  banner: { js: BANNER },
});
// Start-up time is what a user of the command line feels: one file, minified.
await bundle("src/cli/main.ts", "berth.cjs", { format: "cjs", minify: true, keepNames: true });
writeLauncher("berthd", "berthd.mjs");
writeLauncher("berth", "berth.cjs");
