// A further process in a running container.

import type { ProcessUser } from "../types/container.ts";
import { CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWUSER } from "../types/linux.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import type { UserMapping } from "../types/pod.ts";
import { capabilitySets } from "./capabilities.ts";
import { confinementSteps, keyringSteps } from "./confinement.ts";
import { identitySteps } from "./identity.ts";
import type { ExecPlanInput, ExecutedProcess } from "./inputs.ts";
import { limitSteps, oomScoreStep } from "./limits.ts";
import {
  absolutePath,
  checkedArguments,
  DEFAULT_PATH,
  environmentValue,
  mergeEnvironment,
} from "./process.ts";
import { hostUser } from "./user-namespace.ts";

/**
 * The plan of an exec: it joins the container's mount and cgroup namespaces (network, IPC and UTS are the
 * monitor's, the PID namespace comes from `pidNamespace`), then takes the container's identity or the one
 * asked for. A privileged exec has every capability and, in `input.seccomp`, no filter.
 */
export function buildExecPlan(input: ExecPlanInput): Plan {
  const { template, host, console } = input;
  const label = template.selinuxLabel ?? "";
  const { args, env, cwd, user, security, privileged, noNewPrivs } = execProcess(input);
  return {
    cloneFlags: 0,
    pidNamespace: "container",
    steps: [
      oomScoreStep(template.oomScoreAdj ?? 0, host),
      ...joinSteps(template.userMapping ?? null, stdioOwner(template.userMapping, user), limitSteps(host)),
      ...(console === undefined ? [] : [{ op: "console", ...console } as const]),
      ...keyringSteps(label),
      ...(template.userMapping === undefined ? limitSteps(host) : []),
      ...confinementSteps({ ...security, privileged }, host, label),
      ...identitySteps({
        user,
        capabilities: capabilitySets(security, privileged, user.uid, host),
        noNewPrivs,
        seccomp: input.seccomp,
        workingDir: cwd,
      }),
      { op: "ready" },
      {
        op: "exec",
        argv: args,
        env,
        path: environmentValue(env, "PATH") ?? DEFAULT_PATH,
      },
    ],
  };
}

/**
 * Into the container's namespaces. What needs the host's privileges comes before its user namespace: the
 * pipes of stdio become `owner`'s (an id of the host), and `limits` are set.
 */
export function joinSteps(
  mapping: UserMapping | null,
  owner: { readonly uid: number; readonly gid: number },
  limits: readonly PlanStep[] = [],
): PlanStep[] {
  const flags = CLONE_NEWNS | CLONE_NEWCGROUP;
  if (mapping === null) return [{ op: "join", flags }];
  return [
    { op: "own-stdio", ...owner },
    ...limits,
    { op: "join", flags: flags | CLONE_NEWUSER },
    { op: "become-root" },
  ];
}

function stdioOwner(mapping: UserMapping | undefined, user: ProcessUser): { uid: number; gid: number } {
  return mapping === undefined ? user : hostUser(mapping, user);
}

/** What the process is to be: the container's own identity, and what was asked for beside it. */
export function execProcess(input: ExecPlanInput): ExecutedProcess {
  const { template, console } = input;
  return {
    args: checkedArguments(input.argv),
    env: mergeEnvironment(template.env, homeOf(input), {
      PATH: DEFAULT_PATH,
      ...(console === undefined ? {} : { TERM: "xterm" }),
    }),
    cwd: input.workingDir ? absolutePath(input.workingDir, "working directory") : template.workingDir,
    console,
    user: input.user ?? template.user,
    security: template.security,
    privileged: input.privileged === true || template.privileged,
    noNewPrivs: template.security.noNewPrivs && input.privileged !== true,
  };
}

/** Another user has another home, unless the caller gives one. */
function homeOf(input: ExecPlanInput): string[] {
  const asked = [...(input.env ?? [])];
  return input.user === undefined ? asked : [`HOME=${input.user.home}`, ...asked];
}
