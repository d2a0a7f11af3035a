// Where the build puts native files, as seen from the sources and from the bundles alike.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** `name` in `from`, else in out/native/Release there or in a directory above; null when it is nowhere. */
export function builtFile(name: string, from: string): string | null {
  if (existsSync(join(from, name))) return join(from, name);
  for (let directory = from; ; directory = dirname(directory)) {
    const built = join(directory, "out/native/Release", name);
    if (existsSync(built)) return built;
    if (directory === "/") return null;
  }
}
