// SELinux labels of pods and containers: "user:role:type:level", where a level has colons of its own.

import type { HostFacts } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import type { SelinuxOptions } from "../types/pod.ts";

/** Categories of a multi-category policy: each pod has two of its own. */
const CATEGORIES = 1024;
const NONE: SelinuxOptions = { user: "", role: "", type: "", level: "" };

export interface SelinuxLabels {
  readonly process: string;
  /** Of every file that the container sees as its own. */
  readonly mount: string;
}

/**
 * The options of a pod with everything filled in that they leave open: what the policy says for containers,
 * and two categories that no other pod has (`taken` are the levels in use). Null where SELinux is off: its
 * options mean nothing there. FAILED_PRECONDITION where the policy has no labels for containers.
 */
export function podSelinux(
  options: SelinuxOptions | undefined,
  privileged: boolean,
  host: HostFacts,
  taken: readonly string[],
): SelinuxOptions | null {
  const asked = checked(options ?? NONE);
  const asks = Object.values(asked).some((value) => value !== "");
  // A privileged pod is confined by nothing, unless it names a label.
  if (!host.selinux || (privileged && !asks)) return null;
  const policy = host.selinuxContexts;
  if (policy === undefined) {
    if (!asks) return null;
    throw new BerthError(
      "FAILED_PRECONDITION",
      "selinux options: the host's policy has no labels for containers (its file contexts/lxc_contexts); " +
        "install a policy with containers, as container-selinux",
    );
  }
  const [user, role, type] = policy.process.split(":") as [string, string, string];
  return {
    user: asked.user || user,
    role: asked.role || role,
    type: asked.type || type,
    level: asked.level || freeLevel(taken),
  };
}

/**
 * The labels of a container: its pod's, over which its own options are laid. Null: nothing is labelled. The
 * kernel refuses what its policy does not know.
 */
export function containerSelinux(
  pod: SelinuxOptions | undefined,
  options: SelinuxOptions | undefined,
  privileged: boolean,
  host: HostFacts,
): SelinuxLabels | null {
  const asked = checked(options ?? NONE);
  const asks = Object.values(asked).some((value) => value !== "");
  const policy = host.selinuxContexts;
  if (!host.selinux || policy === undefined || pod === undefined || (privileged && !asks)) return null;
  const user = asked.user || pod.user;
  const level = asked.level || pod.level;
  const process = [user, asked.role || pod.role, asked.type || pod.type, level].join(":");
  return { process, mount: mountLabel({ ...pod, user, level }, policy.file) };
}

/** The label of a pod's files. */
export function mountLabel(pod: SelinuxOptions, file: string): string {
  const [, role, type] = file.split(":") as [string, string, string];
  return [pod.user, role, type, pod.level].join(":");
}

function freeLevel(taken: readonly string[]): string {
  for (;;) {
    const first = Math.floor(Math.random() * CATEGORIES);
    const second = Math.floor(Math.random() * CATEGORIES);
    if (first === second) continue;
    const level = `s0:c${Math.min(first, second)},c${Math.max(first, second)}`;
    if (!taken.includes(level)) return level;
  }
}

function checked(options: SelinuxOptions): SelinuxOptions {
  for (const [name, value] of Object.entries(options)) {
    const pattern = name === "level" ? /^[A-Za-z0-9_.,:-]*$/ : /^[A-Za-z0-9_.-]*$/;
    if (pattern.test(value)) continue;
    throw new BerthError("INVALID_ARGUMENT", `selinux ${name} ${JSON.stringify(value)}: not part of a label`);
  }
  return options;
}
