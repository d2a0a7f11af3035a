// bench/RESULTS.md: one section per benchmark, each replaced as a whole when its benchmark runs again.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const HEAD = `# Measurements

Each section is written by its benchmark (\`npm run bench -- NAME\`) and replaced when that runs again; what
is written by hand in one is lost. Absolute times hold for the machine and the hour that a section names:
compare ratios, and only within one section, since all of it was measured interleaved in one run.
`;

/** Replaces the section `name`, or adds it at the end, and leaves the others as they are. */
export function replaceSection(text: string, name: string, body: string): string {
  const begin = `<!-- section: ${name} -->`;
  const end = `<!-- end: ${name} -->`;
  const section = `${begin}\n${body.trim()}\n${end}`;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from !== -1 && to > from) return `${text.slice(0, from)}${section}${text.slice(to + end.length)}`;
  return `${text.trimEnd()}\n\n${section}\n`;
}

export function writeSection(path: string, name: string, body: string): void {
  const before = existsSync(path) ? readFileSync(path, "utf8") : HEAD;
  const staging = `${path}.${process.pid}`;
  writeFileSync(staging, replaceSection(before, name, body));
  renameSync(staging, path);
}
