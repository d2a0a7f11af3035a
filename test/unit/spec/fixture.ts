// Inputs of plans with nothing special about them; tests change what they are about.

import type { HostFacts } from "../../../src/kernel/kernel.ts";
import type { ContainerPlanInput, ResolvedUser } from "../../../src/spec/inputs.ts";
import type { ContainerConfig, ContainerMount, ContainerSecurity } from "../../../src/types/container.ts";
import type { ImageRuntimeConfig } from "../../../src/types/image.ts";
import type { PlanOp, PlanStep } from "../../../src/types/plan.ts";
import type {
  NamespaceOptions,
  PodConfig,
  PodSecurity,
  UserNamespaceOptions,
} from "../../../src/types/pod.ts";

export const HOST: HostFacts = {
  kernelRelease: "6.1.0-18-amd64",
  bootId: "7d3c0c6e-0000-4000-8000-000000000000",
  cgroupControllers: ["cpu", "memory"],
  capSysResource: true,
  nofileHard: 1_048_576,
  lastCapability: 40,
  apparmor: false,
  selinux: false,
  deviceFilter: true,
};

export const NAMESPACES: NamespaceOptions = { network: "POD", pid: "CONTAINER", ipc: "POD", targetId: "" };

export const MAPPING: UserNamespaceOptions = {
  mode: "POD",
  uids: [{ containerId: 0, hostId: 100_000, length: 65_536 }],
  gids: [{ containerId: 0, hostId: 200_000, length: 65_536 }],
};

/** Those of a pod with a user namespace. */
export const MAPPED: NamespaceOptions = { ...NAMESPACES, userns: MAPPING };

export const ROOT: ResolvedUser = { uid: 0, gid: 0, groups: [0], home: "/root" };

export function podConfig(security: Partial<PodSecurity> = {}, more: Partial<PodConfig> = {}): PodConfig {
  return {
    metadata: { name: "web", uid: "u1", namespace: "default", attempt: 0 },
    hostname: "web",
    logDirectory: "",
    portMappings: [],
    labels: {},
    annotations: {},
    cgroupParent: "",
    security: {
      namespaces: NAMESPACES,
      readonlyRootfs: false,
      supplementalGroups: [],
      supplementalGroupsPolicy: "Merge",
      privileged: false,
      ...security,
    },
    sysctls: {},
    ...more,
  };
}

export const SECURITY: ContainerSecurity = {
  addCapabilities: [],
  dropCapabilities: [],
  ambientCapabilities: [],
  privileged: false,
  runAsUsername: "",
  readonlyRootfs: false,
  supplementalGroups: [],
  supplementalGroupsPolicy: "Merge",
  noNewPrivs: false,
  maskedPaths: [],
  readonlyPaths: [],
};

export function containerConfig(
  more: Partial<ContainerConfig> = {},
  security: Partial<ContainerSecurity> = {},
): ContainerConfig {
  return {
    metadata: { name: "nginx", attempt: 0 },
    image: { image: "nginx", annotations: {}, userSpecifiedImage: "", runtimeHandler: "", imageRef: "" },
    command: [],
    args: [],
    workingDir: "",
    envs: [],
    mounts: [],
    devices: [],
    cdiDevices: [],
    labels: {},
    annotations: {},
    logPath: "",
    stdin: false,
    stdinOnce: false,
    tty: false,
    stopSignal: 0,
    security: { ...SECURITY, ...security },
    ...more,
  };
}

export const IMAGE: ImageRuntimeConfig = {
  user: "",
  env: ["PATH=/bin", "LANG=C"],
  entrypoint: ["/entry"],
  cmd: ["serve"],
  workingDir: "/srv",
  stopSignal: "",
  volumes: [],
  exposedPorts: [],
  labels: {},
};

export function volume(containerPath: string, more: Partial<ContainerMount> = {}): ContainerMount {
  return {
    containerPath,
    hostPath: `/host${containerPath}`,
    readonly: false,
    selinuxRelabel: false,
    propagation: "PRIVATE",
    uidMappings: [],
    gidMappings: [],
    recursiveReadOnly: false,
    imageSubPath: "",
    mountOptions: [],
    ...more,
  };
}

export function planInput(more: Partial<ContainerPlanInput> = {}): ContainerPlanInput {
  return {
    pod: podConfig(),
    container: containerConfig(),
    image: IMAGE,
    lowers: ["l/2", "l/1"],
    snapshot: "c/7",
    paths: {
      snapshots: "/var/lib/berth/s",
      rootAttach: "/run/berth/rootfs",
      mountsAttach: "/run/berth/mounts",
      emptyLayer: "empty",
      resolvConf: "/run/berth/pods/p/resolv.conf",
      hostname: "/run/berth/pods/p/hostname",
      hosts: "/run/berth/pods/p/hosts",
    },
    host: HOST,
    user: ROOT,
    seccomp: null,
    devices: [],
    hostDevices: [],
    forceLegacyOverlay: false,
    volumeLowers: new Map(),
    ...more,
  };
}

export function stepsOf<Op extends PlanOp>(
  steps: readonly PlanStep[],
  op: Op,
): Extract<PlanStep, { op: Op }>[] {
  return steps.filter((step): step is Extract<PlanStep, { op: Op }> => step.op === op);
}

export function opsOf(steps: readonly PlanStep[]): PlanOp[] {
  return steps.map((step) => step.op);
}
