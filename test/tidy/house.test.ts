// The house rules as tests. Each message says what to do; the rules themselves are in rules/.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkBanned } from "./rules/banned.ts";
import { readLayers } from "./rules/document-section.ts";
import { checkLinks } from "./rules/documents.ts";
import { checkIncludeLayers, checkTypeScriptLayers } from "./rules/layers.ts";
import { checkSizes } from "./rules/sizes.ts";
import { CODE, CPLUSPLUS, projectRoot, readFiles, TYPESCRIPT } from "./rules/source-file.ts";
import { checkVerbs } from "./rules/verbs.ts";

const architecture = readFileSync(join(projectRoot, "ARCHITECTURE.md"), "utf8");

function expectNone(problems: readonly string[]): void {
  expect(problems, `\n${problems.join("\n")}\n`).toHaveLength(0);
}

test("TypeScript imports follow the layer table", () => {
  expectNone(
    checkTypeScriptLayers(readFiles(TYPESCRIPT, "src"), readLayers(architecture, "layers: typescript")),
  );
});

test("C++ includes follow the layer table", () => {
  expectNone(checkIncludeLayers(readFiles(CPLUSPLUS, "addon"), readLayers(architecture, "layers: c++")));
});

test("lines, functions and files keep their limits", () => {
  expectNone(readFiles(CODE).flatMap(checkSizes));
});

test("banned names and calls stay away", () => {
  expectNone(readFiles(/\.(ts|mjs|cc|h|md|json|txt|go)$/).flatMap(checkBanned));
});

test("a verb file exports the function of its name", () => {
  expectNone(checkVerbs(readFiles(/\.ts$/, "src")));
});

test("links in the documentation lead somewhere", () => {
  expectNone(readFiles(/\.md$/).flatMap((file) => checkLinks(file, projectRoot)));
});

test("package-lock.json names no download host", () => {
  const { packages } = JSON.parse(readFileSync(join(projectRoot, "package-lock.json"), "utf8"));
  const named = Object.entries<{ resolved?: string }>(packages).filter(
    ([, facts]) => facts.resolved !== undefined,
  );
  expectNone(
    named.map(
      ([path]) => `${path}: has "resolved"; run npm with omit-lockfile-registry-resolved=true (.npmrc)`,
    ),
  );
});

test("dependencies are pinned", () => {
  const manifest = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8"));
  const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  const loose = Object.entries<string>(all).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
  expectNone(
    loose.map(([name, version]) => `package.json: "${name}": "${version}"; write the exact version`),
  );
});
