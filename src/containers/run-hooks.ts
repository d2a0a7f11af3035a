// OCI hooks of native containers: foreign runtimes run theirs themselves.

import { BerthError, messageOf } from "../lib/errors.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import { explainPlanFailure } from "../spec/explain-failure.ts";
import {
  buildCreateContainerHookPlan,
  buildRuntimeHookPlan,
  buildStartContainerHookPlan,
  hookInput,
} from "../spec/hook-plan.ts";
import { userMappingOf } from "../spec/user-namespace.ts";
import { findPod } from "../store/pods.ts";
import type { Container } from "../types/container.ts";
import type { Hook, HookStage } from "../types/handler.ts";
import type { Plan } from "../types/plan.ts";
import type { UserMapping } from "../types/pod.ts";
import { bundleOf } from "./bundle.ts";
import type { ContainerDeps } from "./deps.ts";
import { seccompProgram } from "./seccomp-program.ts";

/** Stages before the container's root is entered: its plan waits for them. */
export const EARLY_STAGES: readonly HookStage[] = ["prestart", "createRuntime", "createContainer"];

/** True when berth itself runs hooks of one of the stages for this container. */
export function hasHooks(container: Pick<Container, "runtime">, ...stages: HookStage[]): boolean {
  const { runtime } = container;
  if (runtime === null || runtime.handler !== null) return false;
  return stages.some((stage) => (runtime.hooks[stage] ?? []).length > 0);
}

/**
 * Runs the hooks of a stage one after the other, each with the container's state on its standard input.
 * `pid` is the container's process, 0 when it has ended. Throws at the first that fails: FAILED_PRECONDITION
 * with the end of its output, UNAVAILABLE when its time was over.
 */
export async function runHooks(
  deps: ContainerDeps,
  monitor: Monitor,
  container: Container,
  stage: HookStage,
  pid: number,
): Promise<void> {
  for (const hook of container.runtime?.hooks[stage] ?? []) {
    await runHook(deps, monitor, { container, stage, hook, pid });
  }
}

/** Hooks after the fact: what fails is logged, and the next one runs (OCI runtime-spec, lifecycle). */
export async function runLateHooks(
  deps: ContainerDeps,
  monitor: Monitor,
  container: Container,
  stage: HookStage,
  pid: number,
): Promise<void> {
  for (const hook of container.runtime?.hooks[stage] ?? []) {
    try {
      await runHook(deps, monitor, { container, stage, hook, pid });
    } catch (error) {
      deps.log.warn({ container: container.id, error: messageOf(error) }, `${stage} hook failed`);
    }
  }
}

interface HookRun {
  readonly container: Container;
  readonly stage: HookStage;
  readonly hook: Hook;
  readonly pid: number;
}

async function runHook(deps: ContainerDeps, monitor: Monitor, run: HookRun): Promise<void> {
  const { container, stage, hook, pid } = run;
  const bundle = bundleOf(deps.paths, container);
  const pod = findPod(deps.store, container.podId);
  const mapping = pod === null ? null : userMappingOf(pod.config.security.namespaces);
  const plan = await planOf(deps, run, mapping);
  const inContainer = stage === "createContainer" || stage === "startContainer";
  const annotations = { ...pod?.config.annotations, ...container.config.annotations };
  const state = { id: container.id, pid, bundle: bundle.directory, annotations };
  const doing = `${stage} hook "${hook.path}"`;
  const outcome = await monitor
    .run({
      target: inContainer ? container.id : "",
      // What the image brings is accounted to the container.
      cgroup: stage === "startContainer" ? container.cgroupPath : bundle.cgroup,
      limitMs: hook.timeout * 1000,
      stdin: hookInput(stage, state),
      plan: encodePlan(plan),
    })
    .catch((error: unknown) => {
      throw explainPlanFailure(doing, plan, error);
    });
  if (outcome.exitCode === 0 && !outcome.timedOut) return;
  const words = outcome.output.toString("utf8").trim();
  const said = words === "" ? "" : `: ${JSON.stringify(words)}`;
  if (outcome.timedOut) {
    throw new BerthError(
      "UNAVAILABLE",
      `${doing}: did not end within ${hook.timeout} s and was killed${said}`,
    );
  }
  const how = outcome.signal > 0 ? `signal ${outcome.signal}` : `exit ${outcome.exitCode}`;
  throw new BerthError("FAILED_PRECONDITION", `${doing}: ${how}${said}`);
}

async function planOf(
  deps: ContainerDeps,
  { container, stage, hook }: HookRun,
  mapping: UserMapping | null,
): Promise<Plan> {
  if (stage === "createContainer") return buildCreateContainerHookPlan(hook, mapping);
  if (stage !== "startContainer") {
    return buildRuntimeHookPlan(hook, process.pid, bundleOf(deps.paths, container).directory);
  }
  const template = container.execTemplate;
  const seccomp = template.privileged ? null : await seccompProgram(deps, template.security);
  return buildStartContainerHookPlan(hook, { template, host: deps.host, seccomp });
}
