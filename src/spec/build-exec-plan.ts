// A further process in a running container.

import { CLONE_NEWCGROUP, CLONE_NEWNS } from "../types/linux.ts";
import type { Plan } from "../types/plan.ts";
import { capabilitySets } from "./capabilities.ts";
import { confinementSteps } from "./confinement.ts";
import { identitySteps } from "./identity.ts";
import type { ExecPlanInput } from "./inputs.ts";
import { limitSteps, oomScoreStep } from "./limits.ts";
import {
  absolutePath,
  checkedArguments,
  DEFAULT_PATH,
  environmentValue,
  mergeEnvironment,
} from "./process.ts";

/**
 * The plan of an exec: it joins the container's mount and cgroup namespaces (network, IPC and UTS are the
 * monitor's, the PID namespace comes from `pidNamespace`), then takes the container's identity or the one
 * asked for. A privileged exec has every capability and, in `input.seccomp`, no filter.
 */
export function buildExecPlan(input: ExecPlanInput): Plan {
  const { template, host, console } = input;
  const privileged = input.privileged === true || template.privileged;
  const user = input.user ?? template.user;
  const env = mergeEnvironment(template.env, homeOf(input), {
    PATH: DEFAULT_PATH,
    ...(console === undefined ? {} : { TERM: "xterm" }),
  });
  const workingDir = input.workingDir
    ? absolutePath(input.workingDir, "working directory")
    : template.workingDir;
  return {
    cloneFlags: 0,
    pidNamespace: "container",
    steps: [
      oomScoreStep(template.oomScoreAdj ?? 0, host),
      { op: "join", flags: CLONE_NEWNS | CLONE_NEWCGROUP },
      ...(console === undefined ? [] : [{ op: "console", ...console } as const]),
      { op: "session-keyring" },
      ...limitSteps(host),
      ...confinementSteps({ ...template.security, privileged }, host),
      ...identitySteps({
        user,
        capabilities: capabilitySets(template.security, privileged, user.uid, host),
        noNewPrivs: template.security.noNewPrivs && input.privileged !== true,
        seccomp: input.seccomp,
        workingDir,
      }),
      { op: "ready" },
      {
        op: "exec",
        argv: checkedArguments(input.argv),
        env,
        path: environmentValue(env, "PATH") ?? DEFAULT_PATH,
      },
    ],
  };
}

/** Another user has another home, unless the caller gives one. */
function homeOf(input: ExecPlanInput): string[] {
  const asked = [...(input.env ?? [])];
  return input.user === undefined ? asked : [`HOME=${input.user.home}`, ...asked];
}
