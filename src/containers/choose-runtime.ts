// Who makes a container's process, and what runs around it.

import { hooksFor, hooksOfDevices, joinHooks } from "../handlers/hook-file.ts";
import { readHooks } from "../handlers/read-hooks.ts";
import { processArguments } from "../spec/process.ts";
import { userMappingOf } from "../spec/user-namespace.ts";
import type { CdiEdits } from "../types/cdi.ts";
import type { ContainerConfig } from "../types/container.ts";
import type { ContainerRuntime, Hooks, RuntimeOfContainer } from "../types/handler.ts";
import type { Image } from "../types/image.ts";
import type { Pod } from "../types/pod.ts";
import type { ContainerDeps } from "./deps.ts";

/** A container that is to be made. */
export interface ContainerWish {
  readonly pod: Pod;
  readonly config: ContainerConfig;
  readonly image: Image;
  /** Of the CDI devices in `config`. */
  readonly edits: Required<CdiEdits>;
}

/**
 * Null for the native handler without hooks. NOT_FOUND when the pod's handler is not configured any more,
 * FAILED_PRECONDITION for a malformed hook file or a runtime that cannot be executed.
 */
export async function chooseRuntime(
  deps: ContainerDeps,
  { pod, config, image, edits }: ContainerWish,
  doing: string,
): Promise<ContainerRuntime | null> {
  const handler = await chooseHandler(deps, pod, doing);
  const hooks = await chooseHooks(deps, { pod, config, image, edits });
  if (handler === null && Object.keys(hooks).length === 0) return null;
  return { handler, hooks };
}

async function chooseHandler(
  deps: ContainerDeps,
  pod: Pod,
  doing: string,
): Promise<RuntimeOfContainer | null> {
  const handler = deps.handlers.find(pod.handler, doing);
  if (handler.type === "native") return null;
  await deps.handlers.require(pod.handler, doing);
  if (userMappingOf(pod.config.security.namespaces) !== null) {
    await deps.handlers.requireUserNamespaces(pod.handler, doing);
  }
  const { execsInCgroup } = await deps.handlers.facts(handler.name);
  return { ...handler, execsInCgroup };
}

async function chooseHooks(
  deps: ContainerDeps,
  { pod, config, image, edits }: ContainerWish,
): Promise<Hooks> {
  const ofDevices = hooksOfDevices(edits.hooks);
  if (deps.config.hooksDirs.length === 0) return ofDevices;
  const files = await readHooks(deps.config.hooksDirs);
  const ofFiles = hooksFor(files, {
    annotations: { ...pod.config.annotations, ...config.annotations },
    command: processArguments(config, image.config)[0] ?? "",
    hasBindMounts: config.mounts.length > 0,
  });
  return joinHooks(ofDevices, ofFiles);
}
