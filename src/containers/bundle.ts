// What lies on disk and in cgroups for a container with a foreign runtime or hooks. All names derive from
// the container's id, and all of it goes when the container has ended.

import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Paths, runtimeCgroup } from "../paths.ts";
import type { OciSpecInput } from "../spec/inputs.ts";
import { toOciSpec } from "../spec/oci.ts";
import { hostRoot, userMappingOf } from "../spec/user-namespace.ts";
import type { Container } from "../types/container.ts";
import type { ContainerRuntime } from "../types/handler.ts";
import type { ContainerDeps } from "./deps.ts";

export interface Bundle {
  readonly directory: string;
  readonly config: string;
  readonly pidFile: string;
  readonly consoleSocket: string;
  /** Cgroup of the runtime and of hooks. */
  readonly cgroup: string;
  /** The runtime's --root. */
  readonly runtimeRoot: string;
}

export function bundleOf(paths: Paths, container: Pick<Container, "id" | "cgroupPath" | "runtime">): Bundle {
  const directory = paths.bundle(container.id);
  const root = container.runtime?.handler?.root ?? "";
  return {
    directory,
    config: join(directory, "config.json"),
    pidFile: join(directory, "pid"),
    // sun_path is short: see STATE_SOCKET_SUFFIX of the configuration.
    consoleSocket: join(directory, "c0"),
    cgroup: runtimeCgroup(container.cgroupPath),
    runtimeRoot: root === "" ? join(directory, "state") : root,
  };
}

/** Makes the directory and the cgroup (0700: what is in it tells of the container's environment). */
export async function makeBundle(
  deps: Pick<ContainerDeps, "kernel" | "paths">,
  container: Pick<Container, "id" | "cgroupPath" | "runtime">,
): Promise<void> {
  const bundle = bundleOf(deps.paths, container);
  await mkdir(bundle.directory, { recursive: true, mode: 0o700 });
  await deps.kernel.createCgroup(bundle.cgroup);
}

/** In a pod with a user namespace its root can read it: createContainer hooks run there and look into it. */
export async function writeConfig(bundle: Bundle, input: OciSpecInput): Promise<void> {
  await writeFile(bundle.config, JSON.stringify(toOciSpec(input)), { mode: 0o600 });
  const mapping = userMappingOf(input.container.pod.security.namespaces);
  if (mapping === null) return;
  await chown(bundle.config, 0, hostRoot(mapping).gid);
  await chmod(bundle.config, 0o640);
  await chown(bundle.directory, 0, hostRoot(mapping).gid);
  await chmod(bundle.directory, 0o710);
}

/** What the runtime may need on top for the hooks of a stage, in milliseconds. */
export function hookTimeMs(
  runtime: ContainerRuntime,
  ...stages: (keyof ContainerRuntime["hooks"])[]
): number {
  const seconds = stages.flatMap((stage) => (runtime.hooks[stage] ?? []).map((hook) => hook.timeout));
  return 1000 * seconds.reduce((sum, one) => sum + one, 0);
}
