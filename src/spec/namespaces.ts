// Which namespaces a pod's monitor makes and which ones a container is born into.

import { BerthError } from "../lib/errors.ts";
import type { ContainerConfig } from "../types/container.ts";
import { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS } from "../types/linux.ts";
import type { Plan } from "../types/plan.ts";
import type { NamespaceOptions, PodConfig } from "../types/pod.ts";
import { checkSameUserNamespace, userMappingOf } from "./user-namespace.ts";

/**
 * Every container has mounts and a cgroup namespace of its own, a privileged one too: mounting cgroup2 from
 * the initial cgroup namespace could change the options of the host's hierarchy.
 */
const BASE_FLAGS = CLONE_NEWNS | CLONE_NEWCGROUP;

/** unshare flags of the monitor. UTS goes with the network: a host-network pod has the host's name. */
export function podUnshareFlags(config: PodConfig): number {
  const { network, ipc } = config.security.namespaces;
  return (network === "NODE" ? 0 : CLONE_NEWUTS) | (ipc === "NODE" ? 0 : CLONE_NEWIPC);
}

/** What the CRI allows for a pod and berth can do. */
export function checkPodNamespaces(options: NamespaceOptions): void {
  for (const [kind, mode] of [
    ["network", options.network],
    ["ipc", options.ipc],
  ] as const) {
    if (mode !== "POD" && mode !== "NODE") {
      throw new BerthError("INVALID_ARGUMENT", `${kind} namespace mode ${mode}: must be POD or NODE`);
    }
  }
  if (options.pid === "TARGET") {
    throw new BerthError("INVALID_ARGUMENT", "pid namespace mode TARGET: only a container can have it");
  }
  userMappingOf(options);
}

/**
 * Where the container's first process is born. Network, IPC and UTS are the monitor's. The container's own
 * pid mode counts, or the pod's when it gives no options; POD in a pod with the host's PID namespace is that.
 */
export function containerPlacement(
  pod: PodConfig,
  container: ContainerConfig,
): Pick<Plan, "cloneFlags" | "pidNamespace"> {
  const shared = pod.security.namespaces;
  const options = container.security.namespaces ?? shared;
  for (const kind of ["network", "ipc"] as const) {
    if (options[kind] === "NODE" && shared[kind] !== "NODE") {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `container "${container.metadata.name}": ${kind} namespace mode NODE, but its pod has its own`,
      );
    }
  }
  checkSameUserNamespace(shared, options, container.metadata.name);
  switch (options.pid) {
    case "CONTAINER":
      return { cloneFlags: BASE_FLAGS | CLONE_NEWPID, pidNamespace: "own" };
    case "NODE":
      return { cloneFlags: BASE_FLAGS, pidNamespace: "own" };
    case "TARGET":
      if (options.targetId !== "") return { cloneFlags: BASE_FLAGS, pidNamespace: "container" };
      throw new BerthError("INVALID_ARGUMENT", "pid namespace mode TARGET: no target_id is given");
    case "POD":
      return podPlacement(shared, container.metadata.name);
  }
}

function podPlacement(shared: NamespaceOptions, name: string): Pick<Plan, "cloneFlags" | "pidNamespace"> {
  if (shared.pid === "NODE") return { cloneFlags: BASE_FLAGS, pidNamespace: "own" };
  if (shared.pid === "POD") return { cloneFlags: BASE_FLAGS, pidNamespace: "pod" };
  throw new BerthError(
    "INVALID_ARGUMENT",
    `container "${name}": pid namespace mode POD, but its pod was made with mode ${shared.pid}`,
  );
}
