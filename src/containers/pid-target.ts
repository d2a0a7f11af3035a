// The container whose PID namespace another one joins.

import { BerthError } from "../lib/errors.ts";
import { findContainer } from "../store/containers.ts";
import type { ContainerConfig } from "../types/container.ts";
import type { PodId } from "../types/ids.ts";
import { stateOfContainer } from "./container-lifecycle.ts";
import type { ContainerDeps } from "./deps.ts";

/**
 * CRI, NamespaceOption.target_id: a container of the same sandbox, running. NOT_FOUND, INVALID_ARGUMENT and
 * FAILED_PRECONDITION otherwise.
 */
export function requirePidTarget(
  deps: ContainerDeps,
  podId: PodId,
  config: ContainerConfig,
  doing: string,
): void {
  const options = config.security.namespaces;
  if (options?.pid !== "TARGET") return;
  const refuse = (code: "NOT_FOUND" | "INVALID_ARGUMENT" | "FAILED_PRECONDITION", why: string) =>
    new BerthError(code, `${doing}: PID namespace of container "${options.targetId}": ${why}`);
  if (options.targetId === "") throw refuse("INVALID_ARGUMENT", "no target_id is given");
  const target = findContainer(deps.store, options.targetId);
  if (target === null || target.preparedAt === null) throw refuse("NOT_FOUND", "there is no such container");
  if (target.podId !== podId) throw refuse("INVALID_ARGUMENT", "it is in another pod sandbox");
  const state = stateOfContainer(target);
  if (state !== "RUNNING") throw refuse("FAILED_PRECONDITION", `it is ${state}; it must be running`);
}
