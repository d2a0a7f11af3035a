// Resource limits of a process: berth's own, never what the daemon's unit or shell happened to have.

import type { HostFacts } from "../kernel/kernel.ts";
import { BerthError } from "../lib/errors.ts";
import { RLIM_INFINITY, RLIMIT } from "../types/linux.ts";
import type { PlanStep } from "../types/plan.ts";

export interface Rlimit {
  readonly name: string;
  readonly resource: number;
  readonly soft: number;
  readonly hard: number;
}

/** select(2) holds 1024 descriptors; programs that can use more raise their soft limit themselves. */
const NOFILE_SOFT = 1024;
/** What daemons expect to be able to raise to; programs that walk all descriptors still end. */
const NOFILE_HARD = 1_048_576;

/** No core files unless asked for; the number of processes is for cgroups, not per user across containers. */
export function processLimits(host: HostFacts): Rlimit[] {
  const hard = Math.min(NOFILE_HARD, host.nofileHard);
  return [
    { name: "RLIMIT_NOFILE", resource: RLIMIT.nofile, soft: Math.min(NOFILE_SOFT, hard), hard },
    { name: "RLIMIT_CORE", resource: RLIMIT.core, soft: 0, hard: RLIM_INFINITY },
    { name: "RLIMIT_NPROC", resource: RLIMIT.nproc, soft: RLIM_INFINITY, hard: RLIM_INFINITY },
  ];
}

/** Clamped: a daemon without CAP_SYS_RESOURCE gives what it has. */
export function limitSteps(host: HostFacts): PlanStep[] {
  return processLimits(host).map(({ resource, soft, hard }) => ({
    op: "rlimit",
    resource,
    soft,
    hard,
    clamp: true,
  }));
}

/** The kernel's OOM score of the process; a daemon that may not lower it leaves it where it is. */
export function oomScoreStep(value: number, host: HostFacts): PlanStep {
  if (!Number.isInteger(value) || value < -1000 || value > 1000) {
    throw new BerthError("INVALID_ARGUMENT", `oom_score_adj ${value}: must be from -1000 to 1000`);
  }
  return { op: "oom-score", value, clamp: !host.capSysResource };
}
