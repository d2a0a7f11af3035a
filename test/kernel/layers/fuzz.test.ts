// The C++ driver of test/native under ASan and UBSan, when it was built (addon/CMakeLists.txt,
// BERTH_SANITIZE).

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const driver = resolve(import.meta.dirname, "../../../out/sanitize/layers_fuzz");

test("4000 damaged archives and their streams", (context) => {
  if (!existsSync(driver)) context.skip("out/sanitize/layers_fuzz is not built");
  expect(execFileSync(driver, ["4000", "1"], { encoding: "utf8" })).toMatch(/^layers_fuzz: 4000 rounds/);
});
