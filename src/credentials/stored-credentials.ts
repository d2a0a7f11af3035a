import type { RegistryAuth } from "../types/image.ts";
import { askHelper } from "./credential-helper.ts";
import { entryOf, helperOf, readDockerConfig } from "./docker-config.ts";

/**
 * What the config.json at `path` has for the registry `host`: its helper's word, else its own. Undefined when
 * there is no file or nothing in it. Read anew each time.
 */
export async function storedCredentials(path: string, host: string): Promise<RegistryAuth | undefined> {
  const config = await readDockerConfig(path);
  if (config === null) return undefined;
  const helper = helperOf(config, host);
  const kept = helper === undefined ? undefined : await askHelper(helper, host);
  return kept ?? entryOf(config, host);
}
