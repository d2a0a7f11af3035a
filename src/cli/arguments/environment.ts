// Environment variables as -e and --env-file give them.

import { readFileSync } from "node:fs";
import { messageOf } from "../../lib/errors.ts";
import { UsageError } from "../errors.ts";

/** NAME=value pairs; "NAME" alone takes the value from `environment`, or is left out when it has none. */
export function readEnvironment(
  files: readonly string[],
  entries: readonly string[],
  environment: NodeJS.ProcessEnv,
): { name: string; value: string }[] {
  const found = new Map<string, string>();
  for (const entry of [...files.flatMap(readEnvironmentFile), ...entries]) {
    const equals = entry.indexOf("=");
    const name = equals < 0 ? entry : entry.slice(0, equals);
    if (name === "") throw new UsageError(`invalid environment variable "${entry}": it has no name`, 125);
    const value = equals < 0 ? environment[name] : entry.slice(equals + 1);
    if (value !== undefined) found.set(name, value);
  }
  return [...found].map(([name, value]) => ({ name, value }));
}

/** One variable a line; empty lines and those that begin with "#" do not count. Quotes stay as they are. */
function readEnvironmentFile(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`read --env-file "${path}": ${messageOf(error)}`, 125);
  }
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  return lines
    .map((line) => line.replace(/\r$/, "").trimStart())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** "key=value" pairs; a key alone has the value "". @throws UsageError */
export function readPairs(flag: string, entries: readonly string[]): Record<string, string> {
  const pairs: [string, string][] = entries.map((entry) => {
    const equals = entry.indexOf("=");
    const key = equals < 0 ? entry : entry.slice(0, equals);
    if (key === "") throw new UsageError(`invalid value "${entry}" for --${flag}: it has no key`, 125);
    return [key, equals < 0 ? "" : entry.slice(equals + 1)];
  });
  return Object.fromEntries(pairs);
}
