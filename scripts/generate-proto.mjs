// Generates src/gen from proto/ with buf and ts-proto. Offline: both come with npm.
// Usage: node scripts/generate-proto.mjs [output folder]

import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const committed = join(root, "src", "gen");
const output = resolve(process.argv[2] ?? committed);
const binaries = join(root, "node_modules", ".bin");

// A proto that is gone must not leave its types behind. A folder that the caller named is left alone.
if (output === committed) rmSync(output, { recursive: true, force: true });
const run = spawnSync(join(binaries, "buf"), ["generate", "--output", output], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ""}` },
});
if (run.error !== undefined) {
  console.error(`generate types: run buf: ${run.error.message}; is "npm install" done?`);
  process.exit(1);
}
process.exit(run.status ?? 1);
