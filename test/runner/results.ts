// A vitest reporter that leaves the facts of a run in the file BERTH_TEST_RESULTS, for scripts/test.mjs:
// how many tests passed, which failed, and which were skipped with the reason they gave.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";

export interface RunResults {
  passed: number;
  /** "file > suite > test", or "file" when it could not be loaded. */
  failed: string[];
  skipped: { name: string; reason: string }[];
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function record(test: TestCase, results: RunResults): void {
  const result = test.result();
  if (result.state === "passed") results.passed += 1;
  else if (result.state === "failed") results.failed.push(nameOf(test));
  else if (result.state === "skipped")
    results.skipped.push({ name: nameOf(test), reason: result.note ?? "" });
  // Neither: the run ended before the test did.
  else results.failed.push(`${nameOf(test)} (did not finish)`);
}

export default class ResultsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const results: RunResults = { passed: 0, failed: [], skipped: [] };
    for (const module of modules) {
      for (const test of module.children.allTests()) record(test, results);
      const errors = [
        ...module.errors(),
        ...[...module.children.allSuites()].flatMap((suite) => suite.errors()),
      ];
      for (const error of errors) results.failed.push(`${module.relativeModuleId}: ${error.message}`);
    }
    for (const error of unhandled) results.failed.push(`unhandled: ${error.message}`);
    const file = process.env.BERTH_TEST_RESULTS;
    if (file === undefined) return;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(results));
  }
}
