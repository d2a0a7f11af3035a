// What a foreign runtime takes from the host. It is mounted for it beforehand, in a mount namespace of the
// runtime's own, on a small tmpfs at `paths.mountsAttach`: so the runtime meets no path that a link could
// lead elsewhere, and what berth can do with a mount (ids, attributes, recursively too) need not be known to
// it.
//
// In a user namespace the runtime copies these mounts with its own: the attributes that they have by then are
// locked in the copy. What the namespace has no right to mount (device nodes, file systems of namespaces that
// are the host's) is made here as well.

import { join } from "node:path";
import { CLONE_NEWPID, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID } from "../types/linux.ts";
import type { OciMount } from "../types/oci-runtime.ts";
import type { PlanStep } from "../types/plan.ts";
import { attachStep, SHM_SLOT } from "./build-container-plan.ts";
import { extraNodes, isOfHost, nodeStep } from "./devices.ts";
import type { ContainerPlanInput, DeviceNode } from "./inputs.ts";
import { containerPlacement } from "./namespaces.ts";
import { type MountStep, MQUEUE, PROC, SAFE, sysMounts } from "./system-mounts.ts";
import { userMappingOf } from "./user-namespace.ts";
import type { Volume } from "./volumes.ts";

/** /dev/shm, the pod's user namespace, a volume by its place in volumesOf, a device by that in hostNodes. */
type Source = "shm" | "user" | number | `device-${number}` | `of-host${string}`;

/** Path at which it is mounted for the runtime. */
export function mountSource({ paths }: Pick<ContainerPlanInput, "paths">, of: Source): string {
  return join(paths.mountsAttach, String(of));
}

/** Mounts all of it. The trees of /dev/shm and of the volumes are in their slots; `root` owns devices. */
export function sourceSteps(
  input: ContainerPlanInput,
  volumes: readonly Volume[],
  root: { uid: number; gid: number },
): PlanStep[] {
  const mapped = userMappingOf(input.pod.security.namespaces) !== null;
  const directory = { op: "host-directory", path: input.paths.mountsAttach } as const;
  return [
    directory,
    {
      op: "mount",
      fstype: "tmpfs",
      source: "tmpfs",
      target: "/",
      attributes: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
      // Its ids in a pod's user namespace look for a name here, and need not see the others.
      options: ["mode=711", "size=1m"],
      createTarget: false,
    },
    directory,
    ...(mapped ? ([{ op: "file-ids", ...root }] as const) : []),
    attachSlot("/shm", SAFE),
    ...volumes.map((volume, index) => attachStep(volume, index, false, `/${index}`)),
    ...(mapped ? mappedSourceSteps(input) : []),
  ];
}

function mappedSourceSteps(input: ContainerPlanInput): PlanStep[] {
  return [
    { op: "open-user-namespace", slot: SHM_SLOT },
    attachSlot("/user", 0),
    ...hostNodes(input).map((node, index) => nodeStep(node, true, `/device-${index}`)),
    ...mountsOfHost(input).map((step): PlanStep => ({ ...step, target: `/of-host${step.target}` })),
  ];
}

/** File systems of namespaces that the pod's user namespace does not own. */
function mountsOfHost({ pod, container }: ContainerPlanInput): MountStep[] {
  const shared = pod.security.namespaces;
  if (userMappingOf(shared) === null) return [];
  const { cloneFlags, pidNamespace } = containerPlacement(pod, container);
  const ofHost = { pid: pidNamespace === "own" && (cloneFlags & CLONE_NEWPID) === 0 };
  return [
    ...(ofHost.pid ? [PROC] : []),
    ...(shared.ipc === "NODE" ? [MQUEUE] : []),
    ...(shared.network === "NODE" ? sysMounts(container.security.privileged).slice(0, 1) : []),
  ];
}

export function attachSlot(target: string, attributes: number, slot = SHM_SLOT): PlanStep {
  return {
    op: "attach-tree",
    slot,
    target,
    setAttributes: attributes,
    clearAttributes: 0,
    propagation: 0,
    recursiveAttributes: false,
    createTarget: true,
  };
}

/** What the runtime is to mount in place of a system mount that it has no right to; null where it has. */
export function boundSystemMount(input: ContainerPlanInput, step: MountStep): OciMount | null {
  if (!mountsOfHost(input).some(({ target }) => target === step.target)) return null;
  const source = mountSource(input, `of-host${step.target}`);
  return { destination: step.target, type: "bind", source, options: ["rbind"] };
}

/** Runtimes find the standard ones themselves. */
function hostNodes(input: ContainerPlanInput): DeviceNode[] {
  return extraNodes(input).filter(isOfHost);
}

/** Devices of a container with a user namespace, in which nobody makes nodes. */
export function boundDevices(input: ContainerPlanInput): OciMount[] {
  return hostNodes(input).map((node, index) => {
    const source = mountSource(input, `device-${index}`);
    return { destination: node.path, type: "bind", source, options: ["bind"] };
  });
}
