// Where the monitor's binary lies: beside an installed bundle, or where the build puts it.

import { builtFile } from "../lib/built-file.ts";
import { BerthError } from "../lib/errors.ts";

const NAME = "berth-monitor";

/** BERTH_MONITOR, else the first that exists beside this file or below a directory above it. */
export function monitorBinary(env: NodeJS.ProcessEnv, from = import.meta.dirname): string {
  if (env.BERTH_MONITOR !== undefined && env.BERTH_MONITOR !== "") return env.BERTH_MONITOR;
  const built = builtFile(NAME, from);
  if (built !== null) return built;
  throw new BerthError(
    "NOT_FOUND",
    `find ${NAME}: it is neither beside "${from}" nor in out/native/Release; run "npm run build", ` +
      "or name it in the environment variable BERTH_MONITOR",
  );
}
