// Linux security modules: labels that the kernel puts on the process at execve.

import type { HostFacts } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import type { ContainerSecurity } from "../types/container.ts";
import type { PlanStep } from "../types/plan.ts";

/** The profile that the daemon loads for containers that name none. */
export const DEFAULT_APPARMOR_PROFILE = "berth-default";

/**
 * What goes before an execve so that the kernel confines the program: the SELinux label of its processes ("":
 * none), or an AppArmor profile. No kernel has both.
 */
export function confinementSteps(security: ContainerSecurity, host: HostFacts, label: string): PlanStep[] {
  if (label !== "") return [{ op: "exec-attribute", file: "exec", value: label }];
  const profile = appArmorProfile(security, host);
  return profile === null ? [] : [{ op: "exec-attribute", file: "exec", value: `exec ${profile}` }];
}

/** A session keyring of its own, which the program may use: it has the program's label. */
export function keyringSteps(label: string): PlanStep[] {
  const labelled: PlanStep[] =
    label === "" ? [] : [{ op: "exec-attribute", file: "keycreate", value: label }];
  return [...labelled, { op: "session-keyring" }];
}

/**
 * The AppArmor profile of a container's processes, or null. One that names none has the default where the
 * daemon could load it, as one with RuntimeDefault must. A Localhost profile must be loaded in the host (the
 * kernel refuses the step otherwise). FAILED_PRECONDITION for what the host lacks.
 */
export function appArmorProfile(security: ContainerSecurity, host: HostFacts): string | null {
  const { apparmor } = security;
  if (security.privileged || apparmor?.type === "Unconfined") return null;
  if (apparmor?.type === "Localhost") return localhostProfile(apparmor.localhostRef, host);
  if (host.apparmorDefault === true) return DEFAULT_APPARMOR_PROFILE;
  if (apparmor === undefined || !host.apparmor) return null;
  throw new BerthError(
    "FAILED_PRECONDITION",
    "apparmor profile RuntimeDefault: the daemon could not load its profile; install the package apparmor " +
      "and restart berthd",
  );
}

function localhostProfile(reference: string, host: HostFacts): string {
  const name = reference.replace(/^localhost\//, "");
  if (!host.apparmor) {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `apparmor profile "${name}": the host has no AppArmor; remove the profile or enable AppArmor`,
    );
  }
  if (name !== "" && !/[\0\n ]/.test(name)) return name;
  throw new BerthError("INVALID_ARGUMENT", `apparmor profile ${JSON.stringify(name)}: not a profile name`);
}
