// The committed types are what the protos give now.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { projectRoot } from "./buf.ts";

function filesOf(directory: string): Map<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return new Map(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(directory.length), readFileSync(path, "utf8")]),
  );
}

it("src/gen is current (else run: npm run generate)", { timeout: 60_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "berth-gen-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync(process.execPath, [join(projectRoot, "scripts", "generate-proto.mjs"), directory]);
  const fresh = filesOf(directory);
  const committed = filesOf(join(projectRoot, "src", "gen"));
  expect([...committed.keys()].sort()).toEqual([...fresh.keys()].sort());
  for (const [path, text] of fresh) {
    // A diff of a megabyte helps nobody.
    expect(committed.get(path) === text, `src/gen${path} differs: run "npm run generate"`).toBe(true);
  }
});
