// Where the monitor's binary lies: beside an installed bundle, or where the build puts it.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { BerthError } from "../lib/errors.ts";

const NAME = "berth-monitor";

/** BERTH_MONITOR, else the first that exists beside this file or below a directory above it. */
export function monitorBinary(env: NodeJS.ProcessEnv, from = import.meta.dirname): string {
  if (env.BERTH_MONITOR !== undefined && env.BERTH_MONITOR !== "") return env.BERTH_MONITOR;
  if (existsSync(join(from, NAME))) return join(from, NAME);
  for (let directory = from; ; directory = dirname(directory)) {
    const built = join(directory, "out/native/Release", NAME);
    if (existsSync(built)) return built;
    if (directory === "/") break;
  }
  throw new BerthError(
    "NOT_FOUND",
    `find ${NAME}: it is neither beside "${from}" nor in out/native/Release; run "npm run build", ` +
      "or name it in the environment variable BERTH_MONITOR",
  );
}
