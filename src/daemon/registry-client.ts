// The client of registries, with the credentials that the administrator keeps for them.

import { storedCredentials } from "../credentials/stored-credentials.ts";
import { RegistryClient } from "../registry/client.ts";
import type { RegistryConfig } from "../types/config.ts";

export function makeRegistryClient(config: RegistryConfig): RegistryClient {
  const path = config.dockerConfig ?? "";
  if (path === "") return new RegistryClient(config);
  return new RegistryClient(config, {}, (host) => storedCredentials(path, host));
}
