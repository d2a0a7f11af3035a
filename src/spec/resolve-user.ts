// Who the process runs as: the CRI's fields and the image's user against the image's own passwd and
// group files, which are hostile: lines that are not entries are skipped, whatever they hold.

import { BerthError } from "../lib/errors.ts";
import type { ResolvedUser, UserFiles, UserInput } from "./inputs.ts";

/** uid_t and gid_t; the highest value means "unchanged" to the kernel. */
const MAX_ID = 0xffff_fffe;
/** NGROUPS_MAX of the kernel. */
const MAX_GROUPS = 65536;

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * Numeric user, primary group and supplementary groups (cri-api, LinuxContainerSecurityContext).
 * Precedence: run_as_user or run_as_username, then the image's user, then root. Numbers need no entry in
 * /etc/passwd (their group is then 0); names do. With "Merge" the groups of /etc/group that list the user
 * are added; the primary group is always part of `groups`.
 */
export function resolveUser(input: UserInput): ResolvedUser {
  const wanted = wantedUser(input);
  const passwd = passwdEntries(input.passwd);
  const entry = findUser(wanted.user, passwd);
  const gid = primaryGroup(wanted.group, entry, input);
  const groups = new Set([gid, ...input.security.supplementalGroups.map((id) => checkedId(id, "group"))]);
  if (input.security.supplementalGroupsPolicy === "Merge" && entry.name !== "") {
    for (const group of groupEntries(input.group)) {
      if (group.members.includes(entry.name)) groups.add(group.gid);
    }
  }
  if (groups.size > MAX_GROUPS) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `user "${wanted.user}": ${groups.size} supplementary groups, the kernel takes at most ${MAX_GROUPS}`,
    );
  }
  return { uid: entry.uid, gid, groups: [...groups].sort((a, b) => a - b), home: entry.home };
}

/** The input for "user[:group]" of an exec or a command line, with the groups that Merge gives. */
export function execUserInput(user: string, files: UserFiles): UserInput {
  return {
    security: { runAsUsername: "", supplementalGroups: [], supplementalGroupsPolicy: "Merge" },
    imageUser: user,
    ...files,
  };
}

function wantedUser(input: UserInput): { user: string; group: string } {
  const { runAsUser, runAsGroup, runAsUsername } = input.security;
  if (runAsUser !== undefined && runAsUsername !== "") {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `user: both run_as_user ${runAsUser} and run_as_username "${runAsUsername}" are set; give one of them`,
    );
  }
  const group = runAsGroup === undefined ? "" : String(checkedId(runAsGroup, "group"));
  if (runAsUser !== undefined) return { user: String(checkedId(runAsUser, "user")), group };
  if (runAsUsername !== "") return { user: runAsUsername, group };
  if (group !== "") {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `user: run_as_group ${group} is set without run_as_user; set both`,
    );
  }
  const colon = input.imageUser.indexOf(":");
  if (colon < 0) return { user: input.imageUser, group: "" };
  return { user: input.imageUser.slice(0, colon), group: input.imageUser.slice(colon + 1) };
}

function findUser(user: string, entries: Iterable<PasswdEntry>): PasswdEntry {
  const number = user === "" ? 0 : numericId(user);
  if (number !== undefined) {
    const uid = checkedId(number, "user");
    for (const entry of entries) if (entry.uid === uid) return entry;
    return { name: "", uid, gid: 0, home: "/" };
  }
  // Files are compared as bytes; names from requests are UTF-8.
  const name = Buffer.from(user, "utf8").toString("latin1");
  for (const entry of entries) if (entry.name === name) return entry;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `user "${user}": no such name in the image's /etc/passwd; use a number or a name that the image has`,
  );
}

function primaryGroup(group: string, entry: PasswdEntry, input: UserInput): number {
  if (group === "") return entry.gid;
  const number = numericId(group);
  if (number !== undefined) return checkedId(number, "group");
  const name = Buffer.from(group, "utf8").toString("latin1");
  for (const candidate of groupEntries(input.group)) if (candidate.name === name) return candidate.gid;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `group "${group}": no such name in the image's /etc/group; use a number or a name that the image has`,
  );
}

function checkedId(id: number, what: "user" | "group"): number {
  if (Number.isInteger(id) && id >= 0 && id <= MAX_ID) return id;
  throw new BerthError("INVALID_ARGUMENT", `${what} id ${id}: must be a whole number from 0 to ${MAX_ID}`);
}

function numericId(text: string): number | undefined {
  return /^[0-9]{1,20}$/.test(text) ? Number(text) : undefined;
}

function entryId(text: string | undefined): number | undefined {
  const id = numericId(text ?? "");
  return id !== undefined && id <= MAX_ID ? id : undefined;
}

function* passwdEntries(file: Uint8Array | null): Generator<PasswdEntry> {
  for (const [name, , uidText, gidText, , home] of fieldsOfLines(file)) {
    const uid = entryId(uidText);
    const gid = entryId(gidText);
    if (uid === undefined || gid === undefined) continue;
    yield { name: name!, uid, gid, home: home?.startsWith("/") ? home : "/" };
  }
}

function* groupEntries(file: Uint8Array | null): Generator<GroupEntry> {
  for (const [name, , gidText, members] of fieldsOfLines(file)) {
    const gid = entryId(gidText);
    if (gid === undefined) continue;
    yield { name: name!, gid, members: (members ?? "").split(",").map((member) => member.trim()) };
  }
}

/** Lines with a name, at their colons. Bytes become characters one by one, so nothing is ever malformed. */
function* fieldsOfLines(file: Uint8Array | null): Generator<string[]> {
  if (file === null) return;
  const text = Buffer.from(file.buffer, file.byteOffset, file.byteLength).toString("latin1");
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf("\n", start);
    const line = text.slice(start, end < 0 ? undefined : end).trim();
    start = end < 0 ? text.length : end + 1;
    if (line === "" || line.startsWith("#") || line.startsWith(":") || line.includes("\0")) continue;
    yield line.split(":");
  }
}
