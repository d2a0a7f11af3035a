// SELinux labels of a pod. What the client leaves open is filled into the pod's config when it is made, so
// that its containers have the same to the end.

import { mountLabel, podSelinux } from "../spec/selinux.ts";
import { takenSelinuxLevels } from "../store/pods.ts";
import type { PodConfig } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";

/**
 * The config with its SELinux options filled in, where SELinux is on. To be called in the same turn as the
 * row is inserted: no other pod may get the same categories. INVALID_ARGUMENT, FAILED_PRECONDITION.
 */
export function withSelinux(deps: PodDeps, config: PodConfig): PodConfig {
  const { security } = config;
  const taken = deps.host.selinux ? takenSelinuxLevels(deps.store) : [];
  const selinux = podSelinux(security.selinux, security.privileged, deps.host, taken);
  return selinux === null ? config : { ...config, security: { ...security, selinux } };
}

/** Label of the pod's files and of what is mounted for all of it; undefined: none. */
export function podMountLabel(deps: Pick<PodDeps, "host">, config: PodConfig): string | undefined {
  const { selinux, selinuxContexts } = deps.host;
  const options = config.security.selinux;
  if (!selinux || selinuxContexts === undefined || options === undefined) return undefined;
  return mountLabel(options, selinuxContexts.file);
}
