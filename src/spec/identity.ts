// The last steps before execve: who the process is, what it may do, where it stands.

import type { ProcessUser } from "../types/container.ts";
import type { PlanStep } from "../types/plan.ts";
import type { CapabilitySets } from "./inputs.ts";

export interface Identity {
  readonly user: ProcessUser;
  readonly capabilities: CapabilitySets;
  readonly noNewPrivs: boolean;
  readonly seccomp: Uint8Array | null;
  readonly workingDir: string;
}

export const UMASK = 0o022;

/**
 * From root with every capability to the process's identity.
 * - chdir comes first, as root: images have working directories that their user cannot enter.
 * - The filter is loaded while CAP_SYS_ADMIN is held, or, with no_new_privs, which needs none, at the very
 *   end. What follows it must be allowed by every filter: setgroups, setresgid, setresuid, capset, prctl.
 */
export function identitySteps(identity: Identity): PlanStep[] {
  const { user, capabilities, noNewPrivs, seccomp } = identity;
  const filter: PlanStep[] = seccomp === null ? [] : [{ op: "seccomp", program: seccomp, flags: 0 }];
  return [
    { op: "umask", mask: UMASK },
    { op: "chdir", directory: identity.workingDir },
    { op: "cap-bounding", mask: capabilities.bounding },
    ...(noNewPrivs ? [] : filter),
    { op: "set-groups", groups: user.groups },
    { op: "set-user", uid: user.uid, gid: user.gid },
    {
      op: "cap-set",
      effective: capabilities.effective,
      permitted: capabilities.permitted,
      inheritable: capabilities.inheritable,
    },
    ...(capabilities.ambient === 0n ? [] : [{ op: "cap-ambient", mask: capabilities.ambient } as const]),
    ...(noNewPrivs ? [{ op: "no-new-privs" } as const, ...filter] : []),
  ];
}
