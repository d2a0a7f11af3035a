// `npm run bench -- start [options]`: measures berth beside its peers on this machine and writes
// bench/RESULTS.md. Each file directly in bench/ is a benchmark.

import { existsSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { projectNode, projectRoot, run } from "./lib/run.mjs";
import { setup } from "./setup.mjs";

const folder = join(projectRoot, "bench");
const known = readdirSync(folder)
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.slice(0, -3));

function usage() {
  return `usage: npm run bench -- ${known.join("|")} [options]; with --help the benchmark tells its options`;
}

async function main() {
  const [name = "", ...options] = process.argv.slice(2);
  if (!known.includes(name) || !existsSync(join(folder, `${name}.ts`))) throw new Error(usage());
  if (!options.includes("--help")) {
    if (process.getuid() !== 0) throw new Error("containers need root; run: sudo npm run bench");
    await setup();
  }
  // The benchmark cleans up on a signal; this process must outlive it for the exit code.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
  const { code } = await run(projectNode(), [join(folder, `${name}.ts`), ...options], { check: false });
  return code > 128 ? 128 + constants.signals.SIGINT : code;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
  },
);
