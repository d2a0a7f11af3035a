// What a foreign runtime and hooks leave of a container that has ended.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { destroyCgroup } from "../cgroups/destroy-cgroup.ts";
import { messageOf } from "../lib/errors.ts";
import type { Container } from "../types/container.ts";
import { bundleOf, hookTimeMs } from "./bundle.ts";
import type { ContainerDeps } from "./deps.ts";
import { hasHooks, runLateHooks } from "./run-hooks.ts";
import { runRuntime } from "./runtime-command.ts";

/**
 * Has the runtime delete the container (with its poststop hooks), or runs those hooks, and removes bundle and
 * cgroup. The container's processes must have ended. The bundle goes last, so that it is done once, and again
 * after a crash. What fails is logged, and the rest is removed all the same. Without a monitor neither the
 * runtime nor the hooks can run: with `later` it is then left for a time when there is one.
 */
export async function teardownContainer(
  deps: ContainerDeps,
  container: Container,
  options: { later: boolean } = { later: false },
): Promise<void> {
  if (container.runtime === null) return;
  if (options.later && deps.monitors.get(container.podId) === undefined) return;
  await deps.tearingDown.run(container.id, () => teardown(deps, container));
}

async function teardown(deps: ContainerDeps, container: Container): Promise<void> {
  const bundle = bundleOf(deps.paths, container);
  if (await exists(bundle.directory)) {
    const warn = (error: unknown) =>
      deps.log.warn({ container: container.id, error: messageOf(error) }, "teardown of container");
    await end(deps, container).catch(warn);
    const root = container.runtime?.handler?.root ?? "";
    // What a runtime that failed has left there would block nobody but itself.
    if (root !== "") await deps.kernel.removeTree(join(root, container.id));
    await deps.kernel.removeTree(bundle.directory);
  }
  await destroyCgroup(deps.kernel, bundle.cgroup, `runtime of container "${container.id}"`);
}

async function end(deps: ContainerDeps, container: Container): Promise<void> {
  const { runtime } = container;
  const monitor = deps.monitors.get(container.podId);
  if (runtime === null) return;
  if (monitor === undefined) {
    const lost = runtime.handler !== null || hasHooks(container, "poststop");
    if (lost) deps.log.warn({ container: container.id }, "its monitor is gone: no poststop hooks run");
    return;
  }
  if (runtime.handler === null) return await runLateHooks(deps, monitor, container, "poststop", 0);
  const limitMs = runtime.handler.timeoutMs + hookTimeMs(runtime, "poststop");
  await runRuntime(deps, container, runtime.handler, ["delete", "--force", container.id], limitMs);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
