// `npm run check`: types, lint and format, house rules, unit tests; all at once where that helps.
// `npm run check -- --fix` lets the formatter write.

import { join } from "node:path";
import { projectNode, projectRoot, run } from "./lib/run.mjs";

const vitest = join(projectRoot, "node_modules/vitest/vitest.mjs");
const fix = process.argv.includes("--fix") ? ["--write"] : [];

const CHECKS = [
  { name: "types", command: "tsc", args: ["-p", "."] },
  { name: "lint and format", command: "biome", args: ["check", "--error-on-warnings", ...fix, "."] },
  { name: "house rules", command: projectNode(), args: [vitest, "run", "--project", "tidy"] },
  { name: "unit tests", command: projectNode(), args: [vitest, "run", "--project", "unit"] },
];

async function check({ name, command, args }) {
  const started = performance.now();
  const { code, stdout, stderr } = await run(command, args, { quiet: true, check: false });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok    " : "FAILED"}  ${name} (${seconds} s)`);
  return code === 0 ? "" : `\n── ${name}\n${stdout}${stderr}`;
}

const reports = await Promise.all(CHECKS.map(check));
for (const report of reports) if (report !== "") console.log(report);
process.exitCode = reports.some((report) => report !== "") ? 1 : 0;
