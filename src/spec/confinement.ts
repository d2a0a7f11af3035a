// Linux security modules: labels that the kernel puts on the process at execve.

import type { HostFacts } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import type { ContainerSecurity } from "../types/container.ts";
import type { PlanStep } from "../types/plan.ts";

/**
 * AppArmor: a Localhost profile must be loaded in the host (the kernel refuses the step otherwise).
 * RuntimeDefault is the host's confinement: berth brings no profile of its own. Privileged: none.
 */
export function confinementSteps(security: ContainerSecurity, host: HostFacts): PlanStep[] {
  if (security.privileged) return [];
  refuseSelinux(security, host);
  const profile = security.apparmor;
  if (profile?.type !== "Localhost") return [];
  const name = profile.localhostRef.replace(/^localhost\//, "");
  if (!host.apparmor) {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `apparmor profile "${name}": the host has no AppArmor; remove the profile or enable AppArmor`,
    );
  }
  if (name === "" || /[\0\n ]/.test(name)) {
    throw new BerthError("INVALID_ARGUMENT", `apparmor profile ${JSON.stringify(name)}: not a profile name`);
  }
  return [{ op: "exec-attribute", file: "exec", value: `exec ${name}` }];
}

/** Where SELinux is off its options mean nothing; where it is on they must not be lost. */
function refuseSelinux(security: ContainerSecurity, host: HostFacts): void {
  const options = security.selinux;
  if (!host.selinux || options === undefined) return;
  if (options.user === "" && options.role === "" && options.type === "" && options.level === "") return;
  throw new BerthError("UNIMPLEMENTED", "selinux options: berth does not label processes and files yet");
}
