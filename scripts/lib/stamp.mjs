// Remembers, by content or by time, what was already done, so that doing it again costs nothing.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { projectRoot } from "./run.mjs";

const file = (name) => join(projectRoot, "out/stamps", name);

export function hashFiles(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(path).update("\0").update(readFileSync(path)).update("\0");
  return hash.digest("hex");
}

export function isCurrent(name, hash) {
  return existsSync(file(name)) && readFileSync(file(name), "utf8") === hash;
}

export function markCurrent(name, hash) {
  mkdirSync(dirname(file(name)), { recursive: true });
  writeFileSync(file(name), hash);
}

/** Newest modification time (ms) of a file, or of everything below a folder; 0 when it is missing. */
export function newestChange(path) {
  if (!existsSync(path)) return 0;
  const facts = statSync(path);
  if (!facts.isDirectory()) return facts.mtimeMs;
  const below = readdirSync(path).map((name) => newestChange(join(path, name)));
  return Math.max(facts.mtimeMs, ...below);
}
