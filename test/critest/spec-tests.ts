// The specs of critest as tests of vitest.

import { test } from "vitest";
import { type Exception, verdict } from "./exceptions.ts";
import type { Spec } from "./run.ts";

const OUTPUT_LINES = 60;

/** A test for each of `names`; `results` is asked when they run. */
export function testSpecs(
  names: readonly string[],
  exceptions: readonly Exception[],
  results: () => ReadonlyMap<string, Spec>,
): void {
  for (const name of names) {
    test(name.replace(/^\[k8s\.io\] /, ""), (context) => {
      const said = verdict(name, results().get(name), exceptions);
      context.skip(said.kind === "skipped", said.kind === "skipped" ? said.why : "");
      if (said.kind === "failed") throw new Error(said.why.split("\n").slice(0, OUTPUT_LINES).join("\n"));
    });
  }
}
