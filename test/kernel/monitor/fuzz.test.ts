// The C++ driver of test/native for plans, frames and logs under ASan and UBSan
// (scripts/build-sanitized.mjs).

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { project } from "./pod.ts";

const driver = join(project, "out/sanitize/monitor_fuzz");

test("20000 damaged plans, frames and outputs", (context) => {
  context.skip(!existsSync(driver), "out/sanitize is not built; run: node scripts/build-sanitized.mjs");
  const plans = join(project, "test/vectors/plans");
  const output = execFileSync(driver, [plans, "20000", "1"], { encoding: "utf8" });
  expect(output).toMatch(/^monitor_fuzz: 20000 rounds, [1-9]\d* plans accepted/);
});
