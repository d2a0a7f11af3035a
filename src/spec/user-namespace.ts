// The mapping of ids between a pod with a user namespace and the host.

import { BerthError } from "../lib/errors.ts";
import type { ProcessUser } from "../types/container.ts";
import type { IdMapping, NamespaceOptions, UserMapping } from "../types/pod.ts";

/** Ids are 32 bits wide, and the last one means "none" (user_namespaces(7)). */
const MAX_ID = 0xffff_ffff;
/** "nobody" of every distribution: what unmapped ids look like inside. */
const NOBODY = 65_534;

/**
 * The mapping of a pod, or null when it is in the host's user namespace. INVALID_ARGUMENT for modes and
 * mappings that the CRI does not allow (UserNamespace): POD or NODE, one range each that begins at id 0.
 */
export function userMappingOf(options: NamespaceOptions): UserMapping | null {
  const userns = options.userns;
  if (userns === undefined || userns.mode === "NODE") return null;
  if (userns.mode !== "POD") {
    throw refused(`user namespace mode ${userns.mode}: must be POD or NODE`);
  }
  return { uids: onlyRange("uids", userns.uids), gids: onlyRange("gids", userns.gids) };
}

function onlyRange(what: string, mappings: readonly IdMapping[]): IdMapping {
  const [range, ...more] = mappings;
  if (range === undefined) throw refused(`user namespace ${what}: no mapping is given`);
  if (more.length > 0) throw refused(`user namespace ${what}: ${mappings.length} mappings; one works`);
  if (range.containerId !== 0 || range.length === 0) {
    throw refused(`user namespace ${what}: the mapping does not cover container id 0`);
  }
  if (range.hostId + range.length > MAX_ID) {
    throw refused(`user namespace ${what}: ${range.length} ids from ${range.hostId} on are too many`);
  }
  return range;
}

/** A container has its pod's user namespace: options that say otherwise are refused, absent ones are its. */
export function checkSameUserNamespace(
  pod: NamespaceOptions,
  container: NamespaceOptions,
  name: string,
): void {
  const mode = container.userns?.mode;
  if (container.userns === undefined || (mode === "NODE" && userMappingOf(pod) === null)) return;
  const [own, shared] = [userMappingOf(container), userMappingOf(pod)];
  if (own !== null && shared !== null && sameUserMapping(own, shared)) return;
  throw refused(`container "${name}": its user namespace differs from that of its pod sandbox`);
}

export function sameUserMapping(one: UserMapping, other: UserMapping): boolean {
  return (
    idMapText([one.uids]) === idMapText([other.uids]) && idMapText([one.gids]) === idMapText([other.gids])
  );
}

/** Lines of uid_map and gid_map. */
export function idMapText(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerId, hostId, length }) => `${containerId} ${hostId} ${length}`).join("\n");
}

/** What an id of the container is for the host; null when it has no such id. */
export function hostId(range: IdMapping, id: number): number | null {
  return id < range.length ? range.hostId + id : null;
}

/** The host's ids of the container's root. */
export function hostRoot(mapping: UserMapping | null): { uid: number; gid: number } {
  return mapping === null ? { uid: 0, gid: 0 } : { uid: mapping.uids.hostId, gid: mapping.gids.hostId };
}

/** The host's ids of a user in the container. INVALID_ARGUMENT for one that the mapping leaves out. */
export function hostUser(mapping: UserMapping, user: ProcessUser): { uid: number; gid: number } {
  const uid = hostId(mapping.uids, user.uid);
  const gid = hostId(mapping.gids, user.gid);
  const outside = user.groups.find((group) => hostId(mapping.gids, group) === null);
  if (uid !== null && gid !== null && outside === undefined) return { uid, gid };
  const who =
    outside === undefined ? `${user.uid}:${user.gid}` : `${user.uid}:${user.gid} in group ${outside}`;
  const { uids, gids } = mapping;
  throw refused(`user ${who}: the pod's user namespace has ${uids.length} users and ${gids.length} groups`);
}

/** Ids without any rights that the pod has: nobody, or the last one where there are not so many. */
export function nobodyOf(mapping: UserMapping | null): number {
  if (mapping === null) return NOBODY;
  return Math.min(NOBODY, mapping.uids.length - 1, mapping.gids.length - 1);
}

function refused(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
