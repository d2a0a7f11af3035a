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

/** What the kernel gives its first process (asm-generic/resource.h, MLOCK_LIMIT, MQ_BYTES_MAX). */
const STACK_SOFT = 8 * 1024 * 1024;
const MEMLOCK = 8 * 1024 * 1024;
const MESSAGE_QUEUE_BYTES = 819_200;
/** The kernel derives its own from the host's memory; this is that of a host with 16 GB. */
const PENDING_SIGNALS = 65_536;

/**
 * Every limit there is, so that none is inherited. No core files unless asked for; the number of processes is
 * for cgroups, not per user across containers; priorities are not raised.
 */
export function processLimits(host: HostFacts): Rlimit[] {
  const nofileHard = Math.min(NOFILE_HARD, host.nofileHard);
  const endless: (keyof typeof RLIMIT)[] = ["cpu", "fsize", "data", "rss", "nproc", "as", "locks", "rttime"];
  return [
    limit("nofile", Math.min(NOFILE_SOFT, nofileHard), nofileHard),
    limit("core", 0, RLIM_INFINITY),
    limit("stack", STACK_SOFT, RLIM_INFINITY),
    limit("memlock", MEMLOCK, MEMLOCK),
    limit("msgqueue", MESSAGE_QUEUE_BYTES, MESSAGE_QUEUE_BYTES),
    limit("sigpending", PENDING_SIGNALS, PENDING_SIGNALS),
    limit("nice", 0, 0),
    limit("rtprio", 0, 0),
    ...endless.map((name) => limit(name, RLIM_INFINITY, RLIM_INFINITY)),
  ];
}

function limit(name: keyof typeof RLIMIT, soft: number, hard: number): Rlimit {
  return { name: `RLIMIT_${name.toUpperCase()}`, resource: RLIMIT[name], soft, hard };
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
