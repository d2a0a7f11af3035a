// From a container's configuration to the steps that make its root, its identity and its process.

import { BerthError } from "../lib/errors.ts";
import { MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE } from "../types/linux.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import type { UserMapping } from "../types/pod.ts";
import { capabilitySets } from "./capabilities.ts";
import { confinementSteps, keyringSteps } from "./confinement.ts";
import { identitySteps } from "./identity.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { limitSteps, oomScoreStep } from "./limits.ts";
import { guardedPaths } from "./masked-paths.ts";
import { containerPlacement } from "./namespaces.ts";
import { nestedShares, openShareSteps, shareSteps } from "./nested-shares.ts";
import {
  absolutePath,
  DEFAULT_PATH,
  environmentValue,
  processArguments,
  processEnvironment,
  workingDirectory,
} from "./process.ts";
import { systemSteps } from "./system-mounts.ts";
import { hostRoot, hostUser, userMappingOf } from "./user-namespace.ts";
import { type Volume, volumesOf } from "./volumes.ts";

/** Slots of the executor; one is for /dev/shm. */
const MAX_VOLUMES = 255;
export const SHM_SLOT = 0;

/**
 * The plan of a container's first process, up to execve. Trees of the host are taken before anything hides
 * them; shared ones before the propagation of the new mount namespace is cut, so that they stay shared.
 * INVALID_ARGUMENT for what contradicts itself (cri-api, ContainerConfig), UNIMPLEMENTED for what is missing.
 */
export function buildContainerPlan(input: ContainerPlanInput): Plan {
  const { container, pod } = input;
  checkContainer(input);
  const volumes = volumesOf(input);
  const mapping = userMappingOf(pod.security.namespaces);
  const slots = volumes.length + nestedShares(input, volumes).length;
  if (slots > MAX_VOLUMES) {
    throw new BerthError("INVALID_ARGUMENT", `mounts: ${slots} are asked for, at most ${MAX_VOLUMES} work`);
  }
  const steps = mapping === null ? hostSteps(input, volumes) : mappedSteps(input, volumes, mapping);
  return { ...containerPlacement(pod, container), steps };
}

function hostSteps(input: ContainerPlanInput, volumes: readonly Volume[]): PlanStep[] {
  const { container, host } = input;
  const label = input.selinux?.process ?? "";
  const nested = nestedShares(input, volumes);
  return [
    ...openSteps(volumes, (volume) => volume.propagation === MS_SHARED),
    ...openShareSteps(nested, slotOf(volumes.length)),
    oomScoreStep(container.resources?.oomScoreAdj ?? 0, host),
    { op: "mount-propagation", flags: MS_REC | MS_SLAVE },
    ...openSteps(volumes, (volume) => volume.propagation !== MS_SHARED),
    ...mountSteps(input, volumes),
    ...(container.tty ? [{ op: "console", rows: 0, columns: 0 } as const] : []),
    ...shareSteps(nested, slotOf(volumes.length)),
    ...(input.pauses === true ? [{ op: "pause" } as const] : []),
    { op: "pivot-root" },
    ...keyringSteps(label),
    ...limitSteps(host),
    ...confinementSteps(container.security, host, label),
    ...processSteps(input),
  ];
}

/**
 * In the order of its three processes (enter-user-namespace in types/plan.ts). Where hooks come before the
 * root is entered, the container's process waits for them in its mounts and enters it by itself.
 */
function mappedSteps(
  input: ContainerPlanInput,
  volumes: readonly Volume[],
  mapping: UserMapping,
): PlanStep[] {
  const { container, host } = input;
  const label = input.selinux?.process ?? "";
  return [
    { op: "own-stdio", ...hostUser(mapping, input.user) },
    oomScoreStep(container.resources?.oomScoreAdj ?? 0, host),
    ...limitSteps(host),
    { op: "enter-user-namespace" },
    { op: "mount-propagation", flags: MS_REC | MS_SLAVE },
    ...openSteps(volumes, () => true),
    ...mountSteps(input, volumes),
    ...(input.pauses === true
      ? ([{ op: "take-mounts", rootOpen: true }, { op: "pause" }, { op: "pivot-root" }] as const)
      : ([{ op: "pivot-root" }, { op: "take-mounts", rootOpen: false }] as const)),
    ...(container.tty ? [{ op: "console", rows: 0, columns: 0 } as const] : []),
    ...keyringSteps(label),
    ...confinementSteps(container.security, host, label),
    ...processSteps(input),
  ];
}

/** Trees of the host are open; the root comes, and all that is mounted in it. */
function mountSteps(input: ContainerPlanInput, volumes: readonly Volume[]): PlanStep[] {
  const { container, pod } = input;
  const mapping = userMappingOf(pod.security.namespaces);
  const root = hostRoot(mapping);
  const nested = nestedShares(input, volumes);
  return [
    shmStep(pod.security.namespaces.ipc === "NODE"),
    ...(mapping === null
      ? []
      : ([
          { op: "map-snapshots", base: input.paths.snapshots },
          { op: "file-ids", ...root },
        ] as const)),
    ...labelSteps(input),
    ...imageSteps(input, volumes),
    rootStep(input),
    ...systemSteps(input, SHM_SLOT),
    ...volumes.map((volume, index) => attachStep(volume, index, nested.includes(volume))),
    ...directorySteps(input, root),
    ...guardSteps(input),
    // Writable only there: the others could not do anything with it.
    ...(mapping !== null && container.security.privileged
      ? [{ op: "delegate-cgroup", target: "/sys/fs/cgroup", ...root } as const]
      : []),
    ...(container.security.readonlyRootfs ? [{ op: "root-readonly" } as const] : []),
  ];
}

function checkContainer(input: ContainerPlanInput): void {
  const { container, pod } = input;
  const name = container.metadata.name;
  if (container.security.privileged && !pod.security.privileged) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `container "${name}": privileged, but its pod is not; ask for both`,
    );
  }
  const outside = input.devices.find((device) => !device.path.startsWith("/dev/"));
  if (outside !== undefined && userMappingOf(pod.security.namespaces) !== null) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `container "${name}": device "${outside.path}": with a user namespace devices work below /dev only`,
    );
  }
  if (input.lowers.length === 0) {
    throw new BerthError("INVALID_ARGUMENT", `container "${name}": its image has no layers`);
  }
}

export function openSteps(volumes: readonly Volume[], wanted: (volume: Volume) => boolean): PlanStep[] {
  return volumes.flatMap((volume, index): PlanStep[] => {
    if (volume.image !== undefined || !wanted(volume)) return [];
    const { source, recursive, idMap, propagation } = volume;
    const requiredPropagation = propagation === MS_PRIVATE ? 0 : propagation;
    return [{ op: "open-tree", slot: slotOf(index), source, recursive, idMap, requiredPropagation }];
  });
}

/** The SELinux label of what is mounted from here on. */
export function labelSteps({ selinux }: ContainerPlanInput): PlanStep[] {
  return selinux == null ? [] : [{ op: "mount-label", label: selinux.mount }];
}

export function imageSteps(input: ContainerPlanInput, volumes: readonly Volume[]): PlanStep[] {
  return volumes.flatMap(({ image }, index): PlanStep[] => {
    if (image === undefined) return [];
    return [
      {
        op: "image-tree",
        slot: slotOf(index),
        base: input.paths.snapshots,
        ...image,
        attachAt: input.paths.rootAttach,
        forceLegacy: input.forceLegacyOverlay,
      },
    ];
  });
}

export function slotOf(volumeIndex: number): number {
  return SHM_SLOT + 1 + volumeIndex;
}

export function shmStep(ofHost: boolean): PlanStep {
  if (!ofHost) return { op: "open-shm", slot: SHM_SLOT };
  const source = "/dev/shm";
  return { op: "open-tree", slot: SHM_SLOT, source, recursive: false, idMap: "none", requiredPropagation: 0 };
}

export function rootStep(input: ContainerPlanInput): PlanStep {
  return {
    op: "overlay-root",
    base: input.paths.snapshots,
    lowers: input.lowers,
    upper: `${input.snapshot}/u`,
    work: `${input.snapshot}/w`,
    attachAt: input.paths.rootAttach,
    volatile: true,
    allowDevices: opensDevicesInRoot(input),
    forceLegacy: input.forceLegacyOverlay,
  };
}

/** Nodes made in /dev are on a mount of their own; one elsewhere needs a root that lets devices be opened. */
function opensDevicesInRoot(input: ContainerPlanInput): boolean {
  const { security, devices } = input.container;
  // In a user namespace root of the container would own the nodes that an image brings along.
  if (userMappingOf(input.pod.security.namespaces) !== null) return false;
  return security.privileged || devices.some((device) => !device.containerPath.startsWith("/dev/"));
}

export function attachStep(
  volume: Volume,
  index: number,
  isPrivate: boolean,
  target = volume.target,
): PlanStep {
  return {
    op: "attach-tree",
    slot: slotOf(index),
    target,
    setAttributes: volume.attributes,
    clearAttributes: 0,
    propagation: isPrivate ? MS_PRIVATE : volume.propagation,
    recursiveAttributes: volume.recursiveAttributes,
    createTarget: true,
  };
}

/** The working directory and the places that the image declares as volumes. */
export function directorySteps(input: ContainerPlanInput, owner: { uid: number; gid: number }): PlanStep[] {
  const taken = new Set(input.container.mounts.map((mount) => absolutePath(mount.containerPath, "mount")));
  const places = input.image.volumes.map((path) => absolutePath(`/${path}`, "volume of the image"));
  places.push(workingDirectory(input.container.workingDir, input.image));
  return [...new Set(places)]
    .filter((path) => path !== "/" && !taken.has(path))
    .map((target) => ({ op: "make-dir", target, mode: 0o755, ...owner }));
}

function guardSteps(input: ContainerPlanInput): PlanStep[] {
  const { masked, readonly } = guardedPaths(input.container.security);
  return [
    ...masked.map((target): PlanStep => ({ op: "mask", target })),
    ...readonly.map((target): PlanStep => ({ op: "readonly-path", target })),
  ];
}

function processSteps(input: ContainerPlanInput): PlanStep[] {
  const { security, workingDir } = input.container;
  const { user, host, image } = input;
  const env = processEnvironment(input);
  return [
    ...identitySteps({
      user,
      capabilities: capabilitySets(security, security.privileged, user.uid, host),
      noNewPrivs: security.noNewPrivs,
      seccomp: input.seccomp,
      workingDir: workingDirectory(workingDir, image),
    }),
    { op: "ready" },
    {
      op: "exec",
      argv: processArguments(input.container, image),
      env,
      path: environmentValue(env, "PATH") ?? DEFAULT_PATH,
    },
  ];
}
