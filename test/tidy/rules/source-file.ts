// The files that the rules look at, and what several rules need to know of their text.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";

export interface SourceFile {
  /** From the root of the project. */
  readonly path: string;
  readonly text: string;
}

/** One broken rule: "path:line: what is wrong; what to do". */
export type Problem = string;

export const projectRoot = join(import.meta.dirname, "../../..");

const SKIPPED_FOLDERS = new Set(["node_modules", "out", "build", ".git", "gen", "proto", "vectors"]);

function walk(folder: string, wanted: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : walk(path, wanted);
    return entry.isFile() && wanted.test(entry.name) ? [path] : [];
  });
}

/** Files below the project's root (or below `folder` of it) whose names match, generated code excluded. */
export function readFiles(wanted: RegExp, folder = "."): SourceFile[] {
  const start = join(projectRoot, folder);
  return walk(start, wanted)
    .filter((path) => statSync(path).size < 2_000_000)
    .map((path) => ({ path: relative(projectRoot, path), text: readFileSync(path, "utf8") }));
}

export const TYPESCRIPT = /\.(ts|mjs)$/;
export const CPLUSPLUS = /\.(cc|h)$/;
export const CODE = /\.(ts|mjs|cc|h)$/;

export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

/** Replaces comments by blanks of the same length, so that offsets and lines stay right. */
export function withoutComments(text: string): string {
  // Strings come first in the alternation: a "//" inside one (every URL) is no comment.
  const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(token, (match) => (match.startsWith("/") ? match.replace(/[^\n]/g, " ") : match));
}
