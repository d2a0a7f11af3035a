// From a container's configuration to the steps that make its root, its identity and its process.

import { BerthError } from "../lib/errors.ts";
import { MS_REC, MS_SHARED, MS_SLAVE } from "../types/linux.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import { capabilitySets } from "./capabilities.ts";
import { confinementSteps } from "./confinement.ts";
import { identitySteps } from "./identity.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { limitSteps, oomScoreStep } from "./limits.ts";
import { guardedPaths } from "./masked-paths.ts";
import { containerPlacement } from "./namespaces.ts";
import {
  absolutePath,
  DEFAULT_PATH,
  environmentValue,
  processArguments,
  processEnvironment,
  workingDirectory,
} from "./process.ts";
import { systemSteps } from "./system-mounts.ts";
import { type Volume, volumesOf } from "./volumes.ts";

/** Slots of the executor; one is for /dev/shm. */
const MAX_VOLUMES = 255;
const SHM_SLOT = 0;

/**
 * The plan of a container's first process, up to execve. Trees of the host are taken before anything hides
 * them; shared ones before the propagation of the new mount namespace is cut, so that they stay shared.
 * INVALID_ARGUMENT for what contradicts itself (cri-api, ContainerConfig), UNIMPLEMENTED for what is missing.
 */
export function buildContainerPlan(input: ContainerPlanInput): Plan {
  const { container, pod, host } = input;
  checkContainer(input);
  const volumes = volumesOf(input);
  if (volumes.length > MAX_VOLUMES) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `mounts: ${volumes.length} are asked for, at most ${MAX_VOLUMES} work`,
    );
  }
  const steps: PlanStep[] = [
    ...openSteps(volumes, (volume) => volume.propagation === MS_SHARED),
    oomScoreStep(container.resources?.oomScoreAdj ?? 0, host),
    { op: "mount-propagation", flags: MS_REC | MS_SLAVE },
    ...openSteps(volumes, (volume) => volume.propagation !== MS_SHARED),
    shmStep(pod.security.namespaces.ipc === "NODE"),
    rootStep(input),
    ...systemSteps(input, SHM_SLOT),
    ...volumes.map(attachStep),
    ...directorySteps(input),
    ...guardSteps(input),
    ...(container.security.readonlyRootfs ? [{ op: "root-readonly" } as const] : []),
    ...(container.tty ? [{ op: "console", rows: 0, columns: 0 } as const] : []),
    { op: "pivot-root" },
    { op: "session-keyring" },
    ...limitSteps(host),
    ...confinementSteps(container.security, host),
    ...processSteps(input),
  ];
  return { ...containerPlacement(pod, container), steps };
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
  if (container.cdiDevices.length > 0) {
    throw new BerthError("UNIMPLEMENTED", `container "${name}": berth does not resolve CDI devices yet`);
  }
  if (input.lowers.length === 0) {
    throw new BerthError("INVALID_ARGUMENT", `container "${name}": its image has no layers`);
  }
}

function openSteps(volumes: readonly Volume[], wanted: (volume: Volume) => boolean): PlanStep[] {
  return volumes.flatMap((volume, index): PlanStep[] => {
    if (!wanted(volume)) return [];
    return [{ op: "open-tree", slot: slotOf(index), source: volume.source, recursive: volume.recursive }];
  });
}

function slotOf(volumeIndex: number): number {
  return SHM_SLOT + 1 + volumeIndex;
}

function shmStep(ofHost: boolean): PlanStep {
  if (!ofHost) return { op: "open-shm", slot: SHM_SLOT };
  return { op: "open-tree", slot: SHM_SLOT, source: "/dev/shm", recursive: false };
}

function rootStep(input: ContainerPlanInput): PlanStep {
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
  return security.privileged || devices.some((device) => !device.containerPath.startsWith("/dev/"));
}

function attachStep(volume: Volume, index: number): PlanStep {
  return {
    op: "attach-tree",
    slot: slotOf(index),
    target: volume.target,
    setAttributes: volume.attributes,
    clearAttributes: 0,
    propagation: volume.propagation,
    recursiveAttributes: volume.recursiveAttributes,
    createTarget: true,
  };
}

/** The working directory and the places that the image declares as volumes. */
function directorySteps(input: ContainerPlanInput): PlanStep[] {
  const taken = new Set(input.container.mounts.map((mount) => absolutePath(mount.containerPath, "mount")));
  const places = input.image.volumes.map((path) => absolutePath(`/${path}`, "volume of the image"));
  places.push(workingDirectory(input.container.workingDir, input.image));
  return [...new Set(places)]
    .filter((path) => path !== "/" && !taken.has(path))
    .map((target) => ({ op: "make-dir", target, mode: 0o755, uid: 0, gid: 0 }));
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
