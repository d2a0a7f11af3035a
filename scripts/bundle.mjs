// Bundles the daemon into out/berthd.mjs and the command line into out/berth.cjs, each with a launcher. What
// has native code stays outside; everything else is in, so that a start reads one file.

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");

/** Packages with native code of their own; npm installs them beside the bundle. */
const NATIVE = ["better-sqlite3"];

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node24",
  minify: true,
  // Names of functions and classes appear in logs.
  keepNames: true,
  sourcemap: "linked",
  legalComments: "linked",
  external: NATIVE,
  logLevel: "warning",
};

/** One character that is not, and V8 holds the whole text in memory with two bytes for each. */
function requireAscii(path) {
  const text = readFileSync(path, "latin1");
  const at = text.search(/[\x80-\xff]/);
  if (at < 0) return;
  const around = JSON.stringify(Buffer.from(text.slice(at - 40, at + 40), "latin1").toString());
  // esbuild escapes all others.
  throw new Error(`bundle "${path}": not ASCII, near ${around}; write it as \\u in the regular expression`);
}

mkdirSync(join(root, "out"), { recursive: true });
const daemon = join(root, "out/berthd.mjs");
await build({
  ...common,
  entryPoints: ["src/daemon.ts"],
  outfile: daemon,
  format: "esm",
  // Bundled CommonJS packages ask for Node's own modules with require.
  banner: {
    js: [
      'import { createRequire as berthRequire } from "node:module";',
      "const require = berthRequire(import.meta.url);",
    ].join("\n"),
  },
});
requireAscii(daemon);
console.log("bundled out/berthd.mjs");

if (existsSync(join(root, "src/cli/main.ts"))) {
  const cli = join(root, "out/berth.cjs");
  await build({
    ...common,
    entryPoints: ["src/cli/main.ts"],
    outfile: cli,
    format: "cjs",
    banner: { js: "#!/usr/bin/env node" },
  });
  chmodSync(cli, 0o755);
  console.log("bundled out/berth.cjs");
}

// out/berth and out/berthd: the bundles on the project's own Node, wherever the project lies.
// The daemon's with the options of its unit.
const launched = { berth: "berth.cjs", berthd: "berthd.mjs" };
for (const [name, bundle] of Object.entries(launched)) {
  const options = name === "berthd" ? "--max-semi-space-size=2 --no-parallel-scavenge " : "";
  const lines = [
    "#!/bin/sh",
    'here=$(dirname "$(readlink -f "$0")")',
    `exec "$here/../node_modules/.bin/node" ${options}"$here/${bundle}" "$@"`,
  ];
  writeFileSync(join(root, "out", name), `${lines.join("\n")}\n`, { mode: 0o755 });
}
