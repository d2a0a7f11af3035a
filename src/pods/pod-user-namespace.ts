// The user namespace that a pod asks for: can this host make it, and which ids does it get?

import { BerthError } from "../lib/errors.ts";
import { userMappingOf } from "../spec/user-namespace.ts";
import { takenUserRanges } from "../store/pods.ts";
import type { IdMapping, PodConfig } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";

/** What distributions have in mind for one system: 0 to nobody and nogroup. */
const IDS_PER_POD = 65_536;

/**
 * The config with a range of ids of the host where the client left that to the daemon (mode POD and no
 * mapping at all). To be called in the same turn as the row is inserted: no other pod may get the range.
 * FAILED_PRECONDITION when the host cannot do it, INVALID_ARGUMENT for what the CRI does not allow.
 */
export function withUserNamespace(deps: PodDeps, config: PodConfig): PodConfig {
  const { namespaces } = config.security;
  const { userns } = namespaces;
  if (userns?.mode !== "POD") {
    userMappingOf(namespaces);
    return config;
  }
  if (deps.userNamespacesMissing !== "") {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `user namespace mode POD: this host cannot: ${deps.userNamespacesMissing}; use NODE`,
    );
  }
  if (userns.uids.length > 0 || userns.gids.length > 0) {
    userMappingOf(namespaces);
    return config;
  }
  const range = [freeRange(deps)];
  const filled = { ...namespaces, userns: { ...userns, uids: range, gids: range } };
  return { ...config, security: { ...config.security, namespaces: filled } };
}

/** The first range of the configuration's that no pod has, whoever gave it to that pod. */
function freeRange(deps: PodDeps): IdMapping {
  const { firstId, idCount } = deps.config.userNamespaces;
  const taken = takenUserRanges(deps.store);
  for (let first = firstId; first + IDS_PER_POD <= firstId + idCount; first += IDS_PER_POD) {
    const isTaken = ({ hostId, length }: { hostId: number; length: number }) =>
      hostId < first + IDS_PER_POD && first < hostId + length;
    if (!taken.some(isTaken)) return { containerId: 0, hostId: first, length: IDS_PER_POD };
  }
  throw new BerthError(
    "RESOURCE_EXHAUSTED",
    `user namespace: every range of the ${idCount} ids from ${firstId} on is taken; ` +
      "raise id_count under [user_namespaces], or remove pods",
  );
}
