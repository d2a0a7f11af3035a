// Imports and includes against the layer tables of ARCHITECTURE.md.

import { dirname, join, normalize } from "node:path";
import type { Allowed, LayerTable } from "./document-section.ts";
import { lineOf, type Problem, type SourceFile, withoutComments } from "./source-file.ts";

interface Import {
  readonly target: string;
  readonly typesOnly: boolean;
  readonly line: number;
}

const STATEMENT = /^(?:import|export)\s+(type\s+)?([^"';]*?)\s*from\s+"(\.[^"]+)"/gm;
const BARE = /(?:^import\s+|\bimport\(\s*)"(\.[^"]+)"/gm;

function areAllTypes(names: string): boolean {
  const inside = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1];
  if (inside === undefined) return false;
  const items = inside.split(",").filter((item) => item.trim() !== "");
  return items.length > 0 && items.every((item) => /^\s*type\s/.test(item));
}

function importsOf(file: SourceFile): Import[] {
  const text = withoutComments(file.text);
  const resolve = (path: string): string => normalize(join(dirname(file.path), path));
  const statements = [...text.matchAll(STATEMENT)].map((match) => ({
    target: resolve(match[3] ?? ""),
    typesOnly: match[1] !== undefined || areAllTypes(match[2] ?? ""),
    line: lineOf(text, match.index),
  }));
  const bare = [...text.matchAll(BARE)].map((match) => ({
    target: resolve(match[1] ?? ""),
    typesOnly: false,
    line: lineOf(text, match.index),
  }));
  return [...statements, ...bare];
}

/** The row that a path belongs to: its own file, else its folder. */
function rowOf(path: string, table: LayerTable): string | null {
  if (table.has(path)) return path;
  const folder = path.split("/").slice(0, 2).join("/");
  return table.has(folder) ? folder : null;
}

function check(from: string, target: string, typesOnly: boolean, table: LayerTable): string | null {
  const row = rowOf(from, table);
  const goal = rowOf(target, table);
  if (row === null) return `"${from}" belongs to no row of the layer table; add one to ARCHITECTURE.md`;
  if (goal === null)
    return `imports "${target}", which belongs to no row of the layer table in ARCHITECTURE.md`;
  const allowed = table.get(row);
  if (allowed === null || allowed === undefined || row === goal) return null;
  const found = allowed.find((item: Allowed) => item.folder === goal);
  if (found === undefined) {
    return `${row} may not import ${goal}; move the code down a layer, or pass what is needed as an argument`;
  }
  return found.typesOnly && !typesOnly ? `${row} may import only types of ${goal}; use "import type"` : null;
}

export function checkTypeScriptLayers(files: readonly SourceFile[], table: LayerTable): Problem[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter(({ target }) => target.startsWith("src/"))
      .flatMap(({ target, typesOnly, line }) => {
        const problem = check(file.path, target, typesOnly, table);
        return problem === null ? [] : [`${file.path}:${line}: ${problem}`];
      }),
  );
}

/** Includes are relative to the file, or to addon/. */
function resolveInclude(file: SourceFile, path: string, known: ReadonlySet<string>): string | null {
  const candidates = [normalize(join(dirname(file.path), path)), normalize(join("addon", path))];
  return candidates.find((candidate) => known.has(candidate)) ?? null;
}

export function checkIncludeLayers(files: readonly SourceFile[], table: LayerTable): Problem[] {
  const known = new Set(files.map((file) => file.path));
  return files.flatMap((file) =>
    [...file.text.matchAll(/^#include "([^"]+)"/gm)].flatMap((match) => {
      const target = resolveInclude(file, match[1] ?? "", known);
      const problem =
        target === null
          ? `includes "${match[1]}", which is not there`
          : check(file.path, target, false, table);
      return problem === null ? [] : [`${file.path}:${lineOf(file.text, match.index)}: ${problem}`];
    }),
  );
}
