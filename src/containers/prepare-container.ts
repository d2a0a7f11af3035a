// Has the monitor prepare a container, and makes host directories of volumes and logs that are not there.

import { mkdir } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";
import { KernelError, wrapError } from "../lib/errors.ts";
import type { Monitor, RuntimeLaunch } from "../monitor/monitor.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import { explainPlanFailure } from "../spec/explain-failure.ts";
import type { Container } from "../types/container.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import type { ProcessRef } from "../types/pod.ts";

/** What the monitor says when it cannot open the log (addon/monitor/log_pump.cc). */
const OPEN_LOG = "open log";

/** What a foreign runtime needs that makes the process. */
export interface ForeignLaunch {
  readonly launch: RuntimeLaunch;
  readonly explain: (doing: string, error: unknown) => Promise<unknown>;
}

/**
 * Prepares the container. Volumes are never looked at by the daemon itself, since a look at a dead volume
 * hangs: the container's own process opens them, and the monitor its log. Only when they find nothing at a
 * path is a directory made there, as peers do, and the preparation repeated.
 */
export async function prepareContainer(
  monitor: Monitor,
  container: Pick<Container, "id" | "cgroupPath" | "logPath" | "config">,
  plan: Plan,
  foreign?: ForeignLaunch,
): Promise<ProcessRef> {
  const { config } = container;
  const request = {
    id: container.id,
    cgroupPath: container.cgroupPath,
    logPath: container.logPath,
    tty: config.tty,
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    pidTarget: plan.pidNamespace === "container" ? (config.security.namespaces?.targetId ?? "") : "",
    plan: encodePlan(plan),
    mapsMounts: mapsMounts(plan),
    launch: foreign?.launch,
  };
  const doing = `create container "${config.metadata.name}"`;
  const made = new Set<string>();
  for (;;) {
    try {
      return await monitor.prepare(request);
    } catch (error) {
      const missing = missingDirectory(container, plan, error);
      if (missing === null || made.has(missing)) {
        throw foreign === undefined
          ? explainPlanFailure(doing, plan, error)
          : await foreign.explain(doing, error);
      }
      made.add(missing);
      await makeDirectory(doing, missing);
      await monitor.forget(container.id);
    }
  }
}

function mapsMounts({ steps }: Plan): boolean {
  return steps.some(({ op }) => op === "map-snapshots") && steps.some(hasMounts);
}

/** Layers that are mounts have absolute paths, those that are directories relative ones. */
function hasMounts(step: PlanStep): boolean {
  return (step.op === "overlay-root" || step.op === "image-tree") && step.lowers.some(isAbsolute);
}

/** The host path of a requested volume that the failed step did not find, the log's directory, or null. */
function missingDirectory(
  container: Pick<Container, "config" | "logPath">,
  plan: Plan,
  error: unknown,
): string | null {
  if (!(error instanceof KernelError) || error.errno !== "ENOENT") return null;
  if (error.step === OPEN_LOG) return dirname(container.logPath);
  const index = /^plan:(\d+)$/.exec(error.step)?.[1];
  const step = index === undefined ? undefined : plan.steps[Number(index)];
  if (step?.op !== "open-tree") return null;
  const { source } = step;
  return container.config.mounts.some((mount) => mount.hostPath === source) ? source : null;
}

async function makeDirectory(doing: string, path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw wrapError(`${doing}: make the missing directory "${path}"`, error);
  }
}
