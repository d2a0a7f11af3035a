// `npm test`: the whole suite with the set-up it needs. The last line is "N passed, N failed, N skipped".
// `npm test -- unit kernel` runs those tiers only; `npm test -- -t "name"` passes options on to vitest.
// The tier "system" boots a virtual machine and takes minutes, so it runs only when it is named.

import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { projectNode, projectRoot, run } from "./lib/run.mjs";
import { setup } from "./setup.mjs";

const TIERS = ["unit", "tidy", "kernel", "e2e"];
const NAMED_TIERS = [...TIERS, "system"];
const ROOT_TIERS = ["kernel", "e2e", "system"];
const vitest = join(projectRoot, "node_modules/vitest/vitest.mjs");

function parse(words) {
  const tiers = words.filter((word) => NAMED_TIERS.includes(word));
  const options = words.filter((word) => !NAMED_TIERS.includes(word));
  return { tiers: tiers.length > 0 ? tiers : TIERS, options };
}

/** Runs one tier and returns its RunResults (test/runner/results.ts). */
async function runTier(tier, options) {
  const file = join(projectRoot, "out/test-results", `${tier}.json`);
  mkdirSync(join(projectRoot, "out/test-results"), { recursive: true });
  rmSync(file, { force: true });
  const args = [vitest, "run", "--project", tier, "--passWithNoTests"];
  const reporters = ["--reporter=default", "--reporter=./test/runner/results.ts"];
  const { code } = await run(projectNode(), [...args, ...reporters, ...options], {
    check: false,
    env: { BERTH_TEST_RESULTS: file },
  });
  if (!existsSync(file)) {
    return { passed: 0, failed: code === 0 ? [] : [`tier ${tier}: vitest ended with ${code}`], skipped: [] };
  }
  const results = JSON.parse(readFileSync(file, "utf8"));
  if (code !== 0 && results.failed.length === 0)
    results.failed.push(`tier ${tier}: vitest ended with ${code}`);
  return results;
}

/** What a tier would run, as skipped: nobody should take a suite without root for the whole one. */
async function skipTier(tier, reason) {
  const { stdout } = await run(projectNode(), [vitest, "list", "--project", tier, "--json"], {
    quiet: true,
    env: { BERTH_TEST_LIST: "1" },
  });
  const tests = JSON.parse(stdout.slice(stdout.indexOf("[")));
  const skipped = tests.map((test) => ({ name: `${tier}: ${test.name}`, reason }));
  return { passed: 0, failed: [], skipped };
}

function printSkipped(skipped) {
  if (skipped.length === 0) return;
  console.log("\nSkipped:");
  const reasons = new Map();
  for (const { name, reason } of skipped) {
    const key = reason === "" ? "(no reason given)" : reason;
    reasons.set(key, [...(reasons.get(key) ?? []), name]);
  }
  for (const [reason, names] of reasons) {
    console.log(`  ${reason}`);
    for (const name of names.slice(0, 20)) console.log(`    ${name}`);
    if (names.length > 20) console.log(`    … and ${names.length - 20} more`);
  }
}

async function main() {
  const { tiers, options } = parse(process.argv.slice(2));
  const isRoot = process.getuid() === 0;
  const usesHost = tiers.some((tier) => ROOT_TIERS.includes(tier));
  await setup({ forTests: isRoot && usesHost, modulesOnly: !usesHost });
  const total = { passed: 0, failed: [], skipped: [] };
  for (const tier of tiers) {
    const skip = !isRoot && ROOT_TIERS.includes(tier);
    const results = skip ? await skipTier(tier, "needs root") : await runTier(tier, options);
    total.passed += results.passed;
    total.failed.push(...results.failed);
    total.skipped.push(...results.skipped);
  }
  printSkipped(total.skipped);
  if (total.failed.length > 0)
    console.log(`\nFailed:\n${total.failed.map((name) => `  ${name}`).join("\n")}`);
  console.log(`\n${total.passed} passed, ${total.failed.length} failed, ${total.skipped.length} skipped`);
  // A suite in which nothing ran proves nothing.
  return total.failed.length === 0 && total.passed + total.skipped.length > 0 ? 0 : 1;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(`test: ${error.message}`);
    console.log("\n0 passed, 1 failed, 0 skipped");
    process.exitCode = 1;
  },
);
