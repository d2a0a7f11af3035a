// The last part of CreateContainer: the container's process, up to the point before execve, whoever makes
// it.

import type { Steps } from "../lib/undo.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { explainPlanFailure } from "../spec/explain-failure.ts";
import type { OciSpecInput } from "../spec/inputs.ts";
import type { Container } from "../types/container.ts";
import type { Pod, ProcessRef } from "../types/pod.ts";
import { bundleOf, writeConfig } from "./bundle.ts";
import { createByRuntime } from "./create-by-runtime.ts";
import type { ContainerDeps } from "./deps.ts";
import type { PlannedContainer } from "./plan-container.ts";
import { prepareContainer } from "./prepare-container.ts";
import { EARLY_STAGES, hasHooks, runHooks } from "./run-hooks.ts";
import { seccompRules } from "./seccomp-program.ts";

export interface ProcessParts {
  readonly pod: Pod;
  readonly container: Container;
  readonly planned: PlannedContainer;
}

export async function makeProcess(
  deps: ContainerDeps,
  steps: Steps,
  monitor: Monitor,
  parts: ProcessParts,
): Promise<ProcessRef> {
  const { container, planned } = parts;
  const handler = container.runtime?.handler ?? null;
  if (handler !== null) {
    return await steps.run("prepare", async () => {
      const seccomp = await seccompRules(deps, container.config.security);
      return await createByRuntime(deps, monitor, { ...parts, handler, seccomp });
    });
  }
  const process = await steps.run("prepare", () => prepareContainer(monitor, container, planned.plan));
  if (container.runtime !== null) await steps.run("hooks", () => early(deps, monitor, parts, process));
  return process;
}

/** What runs between the making of the mounts and the entering of the root. */
async function early(
  deps: ContainerDeps,
  monitor: Monitor,
  { pod, container, planned }: ProcessParts,
  process: ProcessRef,
): Promise<void> {
  const bundle = bundleOf(deps.paths, container);
  const input: Omit<OciSpecInput, "rootPath"> = {
    container: planned.input,
    namespaces: { network: pod.netnsPath, user: `/proc/${process.pid}/ns/user` },
    cgroupsPath: container.cgroupPath.slice((await deps.kernel.cgroupMount()).length),
    seccomp: await seccompRules(deps, container.config.security),
    hooks: container.runtime?.hooks ?? {},
  };
  // The root is mounted in the container's mount namespace alone.
  const { rootAttach } = deps.paths;
  const write = (rootPath: string) => writeConfig(bundle, { ...input, rootPath });
  if (hasHooks(container, ...EARLY_STAGES)) {
    // Its exec template is not in the row yet, which no early hook needs.
    for (const stage of EARLY_STAGES) {
      if (!hasHooks(container, stage)) continue;
      await write(stage === "createContainer" ? rootAttach : `/proc/${process.pid}/root${rootAttach}`);
      await runHooks(deps, monitor, container, stage, process.pid);
    }
    const doing = `create container "${container.config.metadata.name}"`;
    await monitor.proceed(container.id).catch((error: unknown) => {
      throw explainPlanFailure(doing, planned.plan, error);
    });
  }
  await write(`/proc/${process.pid}/root`);
}
