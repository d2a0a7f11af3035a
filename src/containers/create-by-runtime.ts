// Has a foreign runtime make a container's process.

import type { SeccompRules } from "../kernel/kernel.ts";
import { KernelError } from "../lib/errors.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { NamespacePaths, OciSpecInput } from "../spec/inputs.ts";
import { mountSource } from "../spec/runtime-mounts.ts";
import { buildRuntimeCreatePlan } from "../spec/runtime-plan.ts";
import { findContainer } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { RuntimeOfContainer } from "../types/handler.ts";
import type { Pod, ProcessRef } from "../types/pod.ts";
import { bundleOf, hookTimeMs, writeConfig } from "./bundle.ts";
import type { ContainerDeps } from "./deps.ts";
import type { PlannedContainer } from "./plan-container.ts";
import { prepareContainer } from "./prepare-container.ts";
import { runtimeCommand, runtimeFailure } from "./runtime-command.ts";

export interface ForeignContainer {
  readonly pod: Pod;
  readonly container: Container;
  readonly handler: RuntimeOfContainer;
  readonly planned: PlannedContainer;
  readonly seccomp: SeccompRules | null;
}

/** `<runtime> create` under the pod's monitor, which adopts what that makes. */
export async function createByRuntime(
  deps: ContainerDeps,
  monitor: Monitor,
  foreign: ForeignContainer,
): Promise<ProcessRef> {
  const { container, handler, planned } = foreign;
  const bundle = bundleOf(deps.paths, container);
  const input = await specInput(deps, monitor, foreign);
  await writeConfig(bundle, input);
  const words = ["create", "--bundle", bundle.directory, "--pid-file", bundle.pidFile];
  if (container.config.tty) words.push("--console-socket", bundle.consoleSocket);
  const command = await runtimeCommand(deps, container, handler, "create", [...words, container.id]);
  const plan = buildRuntimeCreatePlan(planned.input, command, input.cgroupsPath);
  const runtime = container.runtime ?? { handler, hooks: {} };
  const launch = {
    cgroup: bundle.cgroup,
    limitMs: handler.timeoutMs + hookTimeMs(runtime, "prestart", "createRuntime", "createContainer"),
    pidFile: bundle.pidFile,
    consoleSocket: container.config.tty ? bundle.consoleSocket : "",
  };
  return await prepareContainer(monitor, container, plan, {
    launch,
    explain: async (doing, error) =>
      error instanceof KernelError
        ? await runtimeFailure({ deps, container, handler, name: "create", plan, doing }, error)
        : error,
  });
}

async function specInput(
  deps: ContainerDeps,
  monitor: Monitor,
  { pod, container, planned, seccomp }: ForeignContainer,
): Promise<OciSpecInput> {
  return {
    container: planned.input,
    rootPath: deps.paths.rootAttach,
    namespaces: {
      ...namespacePaths(deps, monitor, pod, container),
      user: mountSource(planned.input, "user"),
    },
    cgroupsPath: container.cgroupPath.slice((await deps.kernel.cgroupMount()).length),
    seccomp,
    hooks: container.runtime?.hooks ?? {},
  };
}

/** The monitor holds the pod's namespaces, and its init the shared PID namespace. */
function namespacePaths(
  deps: Pick<ContainerDeps, "store">,
  monitor: Monitor,
  pod: Pod,
  container: Container,
): NamespacePaths {
  const options = container.config.security.namespaces ?? pod.config.security.namespaces;
  const target = options.pid === "TARGET" ? findContainer(deps.store, options.targetId) : null;
  const pid = options.pid === "TARGET" ? (target?.process?.pid ?? 0) : monitor.podInitPid;
  return {
    network: pod.netnsPath,
    ipc: `/proc/${monitor.pid}/ns/ipc`,
    uts: `/proc/${monitor.pid}/ns/uts`,
    pid: `/proc/${pid}/ns/pid`,
  };
}
