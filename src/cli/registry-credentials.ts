// Docker's config.json of whoever runs the command: what goes with a pull, and where a login is kept.

import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { RegistryAuth } from "../gen/berth/v1/engine.ts";
import { messageOf } from "../lib/errors.ts";
import type { Context } from "./command.ts";
import { complain } from "./complain.ts";

/** $DOCKER_CONFIG/config.json, or the one in the home directory. */
export function configPath(env: NodeJS.ProcessEnv): string {
  const directory = env.DOCKER_CONFIG;
  if (directory !== undefined && directory !== "") return join(directory, "config.json");
  return join(env.HOME || homedir(), ".docker/config.json");
}

/** The caller's credentials for the registry of `image`, if there are any. */
export async function credentialsOfImage(context: Context, image: string): Promise<RegistryAuth | undefined> {
  const path = configPath(context.env);
  // Most have no such file: what reads it need not be loaded.
  if (
    !(await access(path)
      .then(() => true)
      .catch(() => false))
  )
    return undefined;
  const { splitHost } = await import("../credentials/image-host.ts");
  const { storedCredentials } = await import("../credentials/stored-credentials.ts");
  const { host } = splitHost(image);
  try {
    return await storedCredentials(path, host);
  } catch (error) {
    // A broken helper must not be in the way of a public image: the registry says whether it matters.
    complain(context.stderr, `${messageOf(error)}; going on without credentials for "${host}"`);
    return undefined;
  }
}
