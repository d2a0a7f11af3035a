// Lets a prepared process execute its program, by whoever made it.

import { BerthError, KernelError, messageOf } from "../lib/errors.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { encodePlan } from "../spec/encode-plan.ts";
import { buildRuntimeCommandPlan } from "../spec/runtime-plan.ts";
import type { Container } from "../types/container.ts";
import type { RuntimeOfContainer } from "../types/handler.ts";
import type { Micros } from "../types/ids.ts";
import { bundleOf, hookTimeMs } from "./bundle.ts";
import type { ContainerDeps } from "./deps.ts";
import { hasHooks, runHooks } from "./run-hooks.ts";
import { runtimeCommand, runtimeFailure } from "./runtime-command.ts";

/** What keeps a container from ever starting, already in words. */
export class StartRefusal extends BerthError {}

/**
 * When the program runs. KernelError when it could not be executed, StartRefusal when a hook or the runtime
 * did not let it.
 */
export async function startProcess(
  deps: ContainerDeps,
  monitor: Monitor,
  container: Container,
): Promise<Micros> {
  const handler = container.runtime?.handler ?? null;
  if (handler !== null) return await startByRuntime(deps, monitor, container, handler);
  if (hasHooks(container, "startContainer")) {
    const pid = container.process?.pid ?? 0;
    await runHooks(deps, monitor, container, "startContainer", pid).catch((error: unknown) => {
      throw refusal(container, error);
    });
  }
  return (await monitor.start(container.id)).startedAt;
}

async function startByRuntime(
  deps: ContainerDeps,
  monitor: Monitor,
  container: Container,
  handler: RuntimeOfContainer,
): Promise<Micros> {
  const words = ["start", container.id];
  const plan = buildRuntimeCommandPlan(await runtimeCommand(deps, container, handler, "start", words));
  const runtime = container.runtime ?? { handler, hooks: {} };
  const limitMs = handler.timeoutMs + hookTimeMs(runtime, "startContainer", "poststart");
  const { cgroup } = bundleOf(deps.paths, container);
  try {
    return (await monitor.start(container.id, { cgroup, limitMs, plan: encodePlan(plan) })).startedAt;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const doing = `start container "${container.id}"`;
    const why = await runtimeFailure({ deps, container, handler, name: "start", plan, doing }, error);
    throw new StartRefusal(why.code, why.message, { cause: why });
  }
}

function refusal(container: Container, error: unknown): unknown {
  if (!(error instanceof BerthError)) return error;
  const message = `start container "${container.id}": ${messageOf(error)}`;
  return new StartRefusal(error.code, message, { cause: error });
}
