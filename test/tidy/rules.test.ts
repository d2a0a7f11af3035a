// Each house rule is broken once here, so that a rule which no longer sees anything is noticed.

import { describe, expect, test } from "vitest";
import { checkBanned } from "./rules/banned.ts";
import { readLayers } from "./rules/document-section.ts";
import { checkLinks } from "./rules/documents.ts";
import { checkIncludeLayers, checkTypeScriptLayers } from "./rules/layers.ts";
import { checkSizes, findFunctions } from "./rules/sizes.ts";
import { projectRoot, type SourceFile } from "./rules/source-file.ts";
import { checkVerbs } from "./rules/verbs.ts";

const file = (path: string, text: string): SourceFile => ({ path, text });

describe("layers", () => {
  const document = [
    "<!-- layers: typescript -->",
    "| `src/low` | |",
    "| `src/high` | `src/low`, `src/side` (types) |",
    "| `src/side` | |",
    "| `src/daemon.ts` | everything |",
    "<!-- end -->",
    "<!-- layers: c++ -->",
    "| `addon/kernel` | |",
    "| `addon/init` | `addon/kernel` |",
    "<!-- end -->",
  ].join("\n");
  const table = readLayers(document, "layers: typescript");
  const check = (path: string, text: string) => checkTypeScriptLayers([file(path, text)], table);

  test("allow what the table allows", () => {
    expect(check("src/high/a.ts", 'import { x } from "../low/b.ts";\nimport "./c.ts";')).toEqual([]);
    expect(check("src/high/a.ts", 'import type { X } from "../side/b.ts";')).toEqual([]);
    expect(check("src/high/a.ts", 'import { type X, type Y } from "../side/b.ts";')).toEqual([]);
    expect(check("src/daemon.ts", 'import { x } from "./high/b.ts";')).toEqual([]);
    expect(check("src/low/a.ts", '// import { x } from "../high/b.ts";')).toEqual([]);
  });

  test.each([
    ["src/low/a.ts", 'import { x } from "../high/b.ts";'],
    ["src/low/a.ts", 'import type { X } from "../high/b.ts";'],
    ["src/low/a.ts", 'import {\n  x,\n  y,\n} from "../high/b.ts";'],
    ["src/low/a.ts", 'export * from "../high/b.ts";'],
    ["src/low/a.ts", 'import "../high/b.ts";'],
    ["src/low/a.ts", 'const x = await import("../high/b.ts");'],
    ["src/high/a.ts", 'import { X } from "../side/b.ts";'],
    ["src/high/a.ts", 'import { type X, y } from "../side/b.ts";'],
    ["src/new/a.ts", 'import { x } from "../low/b.ts";'],
    ["src/high/a.ts", 'import { x } from "../new/b.ts";'],
  ])("refuse in %s: %s", (path, text) => {
    expect(check(path, text)).toHaveLength(1);
  });

  test("hold for includes", () => {
    const includes = readLayers(document, "layers: c++");
    const low = file("addon/kernel/fd.h", "");
    const good = file("addon/init/a.cc", '#include "../kernel/fd.h"\n#include "kernel/fd.h"\n');
    const bad = file("addon/kernel/b.cc", '#include "../init/a.cc"\n');
    expect(checkIncludeLayers([low, good], includes)).toEqual([]);
    expect(checkIncludeLayers([low, good, bad], includes)).toHaveLength(1);
    expect(checkIncludeLayers([file("addon/init/a.cc", '#include "gone.h"')], includes)).toHaveLength(1);
  });
});

describe("sizes", () => {
  const body = (count: number): string => Array.from({ length: count }, () => "  step();").join("\n");

  test.each([
    ["a function", "export async function run(", "): Promise<void> {", "}"],
    ["an arrow function", "const run = async (", ") => {", "};"],
    ["a C++ function", "static int Run(int count,", "               char** words) {", "}"],
    ["a const method", "int Run::Value(", "    int count) const {", "}"],
  ])("see %s of 71 lines, not of 70", (_, head, open, close) => {
    const make = (lines: number): string => `${head}\n${open}\n${body(lines - 3)}\n${close}\n`;
    expect(checkSizes(file("src/a.ts", make(70)))).toEqual([]);
    expect(checkSizes(file("src/a.ts", make(71)))).toHaveLength(1);
  });

  test("see methods but not classes, conditions or suites", () => {
    const text =
      'class A {\n  run(): void {\n    if (x) {\n    }\n  }\n}\ndescribe("a", () => {\n  f();\n});\n';
    expect(findFunctions(text)).toEqual([{ start: 1, end: 4 }]);
  });

  test("see wide lines and long files", () => {
    expect(checkSizes(file("src/a.ts", `${"x".repeat(111)}\n`))).toHaveLength(1);
    expect(checkSizes(file("src/a.ts", "x;\n".repeat(401)))).toHaveLength(1);
    expect(checkSizes(file("src/a.ts", `${"x".repeat(110)}\n${"x;\n".repeat(399)}`))).toEqual([]);
  });
});

describe("banned", () => {
  test.each([
    ["src/pods/a.ts", 'import { spawn } from "node:child_process";'],
    ["src/pods/a.ts", 'const addon = load("berth.node");'],
    ["src/pods/a.ts", 'import Database from "better-sqlite3";'],
    ["src/pods/a.ts", 'db.prepare("SELECT 1");'],
    ["src/pods/a.ts", "const text = readFileSync(path);"],
    ["src/pods/a.ts", 'console.log("x");'],
    ["addon/kernel/a.cc", "#include <napi.h>"],
    ["addon/kernel/a.cc", 'system("ls");'],
    ["addon/kernel/a.cc", "  throw 1;"],
    ["test/unit/a.test.ts", `${"it"}.only("x", () => {});`],
    ["test/unit/a.test.ts", `${"describe"}.skipIf(true)("x", () => {});`],
    ["docs/a.md", `${"TO"}DO: later`],
    ["src/lib/utils.ts", ""],
    ["addon/kernel/helpers.h", ""],
  ])("refuse in %s: %s", (path, text) => {
    expect(checkBanned(file(path, text))).toHaveLength(1);
  });

  test.each([
    ["src/network/invoke.ts", 'import { spawn } from "node:child_process";'],
    ["src/kernel/binding.ts", 'load("berth.node");'],
    ["src/store/open.ts", 'db.prepare("SELECT 1");'],
    ["src/pods/a.ts", "/a/.exec(text); execSync(deps, call);"],
    ["src/pods/a.ts", '// as console.log("x") would'],
    ["src/cli/a.ts", 'console.log("https://x");'],
  ])("allow in %s: %s", (path, text) => {
    expect(checkBanned(file(path, text))).toEqual([]);
  });
});

describe("verbs", () => {
  const check = (...files: SourceFile[]) => checkVerbs(files);

  test("pass when file and function have one name", () => {
    expect(check(file("src/pods/stop-pod.ts", "export async function stopPod() {}"))).toEqual([]);
    expect(check(file("src/pods/deps.ts", "export function a() {}\nexport function b() {}"))).toEqual([]);
  });

  test("fail without the function, with a second one, with a double name", () => {
    expect(check(file("src/pods/stop-pod.ts", "export function halt() {}"))).toHaveLength(1);
    const two = "export function stopPod() {}\nexport const haltPod = () => {};";
    expect(check(file("src/pods/stop-pod.ts", two))).toHaveLength(1);
    const verb = "export function stopPod() {}";
    expect(check(file("src/pods/stop-pod.ts", verb), file("src/images/stop-pod.ts", verb))).toHaveLength(1);
  });
});

test("links: dead files and dead headings are seen", () => {
  const check = (text: string) => checkLinks(file("README.md", text), projectRoot);
  expect(check("[a](ARCHITECTURE.md#layers) [b](https://example.org/x) `[c](gone.md)`")).toEqual([]);
  expect(check("[a](gone.md)")).toHaveLength(1);
  expect(check("[a](ARCHITECTURE.md#no-such-heading)")).toHaveLength(1);
});
