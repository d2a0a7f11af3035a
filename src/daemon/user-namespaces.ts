// Whether pods can have user namespaces on this host.

import type { HostKernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import type { Paths } from "../paths.ts";
import { explainIdMapping } from "../spec/explain-id-mapping.ts";

/** Tried once, with the file system that the containers' root file systems lie on. "": they can. */
export async function userNamespacesMissing(kernel: HostKernel, paths: Paths, log: Logger): Promise<string> {
  try {
    await kernel.probeUserNamespaces(paths.snapshots);
    return "";
  } catch (error) {
    const missing = explainIdMapping(`map ids of a mount of "${paths.snapshots}"`, error);
    log.warn({ missing }, "pods cannot have user namespaces on this host");
    return missing;
  }
}
