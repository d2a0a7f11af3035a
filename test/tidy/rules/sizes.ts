// Lengths of lines, functions and files. Functions are found by their layout: the code is formatted, so the
// line that closes a function is the next one that is indented like its first and starts with "}".

import { type Problem, type SourceFile, withoutComments } from "./source-file.ts";

export const MAX_COLUMNS = 110;
export const MAX_FUNCTION_LINES = 70;
export const MAX_FILE_LINES = 400;

/** Files of data that has its own shape. */
const WIDE = /(^|\/)(package-lock\.json|go\.sum)$|\.tsv$/;

const indentOf = (line: string): number => line.length - line.trimStart().length;
const blankStrings = (line: string): string => line.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/g, '""');

const CONTROL = /^\s*(?:\}\s*)?(?:if|else|for|while|do|switch|try|catch|finally|with|return|case|default)\b/;
const NOT_CODE =
  /^\s*(?:export (?:abstract )?)?(?:namespace|class|struct|union|enum|interface|extern|type)\b/;
/** The body of a suite is a list of tests, not a function to be read as one. */
const SUITE = /^\s*(?:describe|suite)\b/;

/** Index of the line on which the header that ends at `end` begins: where its parentheses balance. */
function headerStart(lines: readonly string[], end: number): number {
  let depth = 0;
  for (let index = end; index >= 0 && end - index < 40; index--) {
    for (const character of blankStrings(lines[index] ?? "")) {
      if (character === ")") depth += 1;
      else if (character === "(") depth -= 1;
    }
    if (depth <= 0) return index;
  }
  return end;
}

function isFunctionHeader(header: string, line: string): boolean {
  if (CONTROL.test(header) || NOT_CODE.test(header) || SUITE.test(header)) return false;
  return /(?:=>|\)[^()=;]*)\s*\{$/.test(line);
}

/** First and last line (from 0) of every function of the text. */
export function findFunctions(text: string): { start: number; end: number }[] {
  const lines = withoutComments(text).split("\n");
  const found: { start: number; end: number }[] = [];
  lines.forEach((line, index) => {
    const trimmed = line.trimEnd();
    if (!trimmed.endsWith("{")) return;
    const start = headerStart(lines, index);
    const header = lines[start] ?? "";
    if (!isFunctionHeader(header, blankStrings(trimmed))) return;
    const indent = indentOf(header);
    const close = lines.findIndex(
      (later, at) => at > index && later.startsWith("}", indent) && indentOf(later) === indent,
    );
    if (close > 0) found.push({ start, end: close });
  });
  return found;
}

export function checkSizes(file: SourceFile): Problem[] {
  if (WIDE.test(file.path)) return [];
  const lines = file.text.split("\n");
  const wide = lines.flatMap((line, index) =>
    [...line].length > MAX_COLUMNS
      ? [`${file.path}:${index + 1}: over ${MAX_COLUMNS} columns; break the line`]
      : [],
  );
  const long = findFunctions(file.text)
    .filter(({ start, end }) => end - start + 1 > MAX_FUNCTION_LINES)
    .map(({ start, end }) => {
      const size = end - start + 1;
      const what = `a function of ${size} lines (at most ${MAX_FUNCTION_LINES})`;
      return `${file.path}:${start + 1}: ${what}; split it by what its parts are for`;
    });
  const count = lines.length - 1;
  const big =
    count > MAX_FILE_LINES
      ? [`${file.path}: ${count} lines (at most ${MAX_FILE_LINES}); split it by concern`]
      : [];
  return [...wide, ...long, ...big];
}
