// Relative links in Markdown: the file must be there, and so must the heading.

import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { lineOf, type Problem, type SourceFile } from "./source-file.ts";

const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .trim()
    .replace(/ /g, "-");

function headings(markdown: string): Set<string> {
  return new Set([...markdown.matchAll(/^#+ (.+)$/gm)].map((match) => slug(match[1] ?? "")));
}

const blankCode = (text: string): string =>
  text.replace(/```[\s\S]*?```|`[^`\n]*`/g, (code) => code.replace(/[^\n]/g, " "));

function checkLink(file: SourceFile, link: string, root: string): string | null {
  const [path = "", anchor] = link.split("#");
  const target =
    path === "" ? join(root, file.path) : join(root, dirname(file.path), decodeURIComponent(path));
  if (!existsSync(target)) return `the link "${link}" leads nowhere; correct or remove it`;
  if (anchor === undefined || statSync(target).isDirectory()) return null;
  return headings(readFileSync(target, "utf8")).has(anchor)
    ? null
    : `"${link}": no heading of that name; correct the link`;
}

export function checkLinks(file: SourceFile, root: string): Problem[] {
  const text = blankCode(file.text);
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
    const link = match[1] ?? "";
    if (/^[a-z]+:/.test(link)) return [];
    const problem = checkLink(file, link, root);
    return problem === null ? [] : [`${file.path}:${lineOf(text, match.index)}: ${problem}`];
  });
}
