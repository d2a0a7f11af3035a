// Adds a host program together with the shared libraries that it loads.

import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";
import type { Tree } from "./tree.ts";

/** Paths as the loader looks them up, such as "/lib/x86_64-linux-gnu/libc.so.6", the loader included. */
export function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => /(?:=> |^\s+)(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

export function addProgram(tree: Tree, program: string, path = program.slice(1)): void {
  tree.copy(realpathSync(program), path);
  for (const library of librariesOf(program)) tree.copy(realpathSync(library), library.slice(1));
}
