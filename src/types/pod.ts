// A pod sandbox as berth knows it: the CRI's PodSandboxConfig without its wire types, and its row.

import type { ByteString, Micros, PodId } from "./ids.ts";

export type NamespaceMode = "POD" | "CONTAINER" | "NODE" | "TARGET";

export interface NamespaceOptions {
  readonly network: NamespaceMode;
  readonly pid: NamespaceMode;
  readonly ipc: NamespaceMode;
  /** Container whose PID namespace is joined, with pid TARGET. */
  readonly targetId: string;
  readonly userns?: UserNamespaceOptions | undefined;
}

export interface IdMapping {
  readonly hostId: number;
  readonly containerId: number;
  readonly length: number;
}

export interface UserNamespaceOptions {
  readonly mode: NamespaceMode;
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/** The one range of users and the one of groups that a pod with a user namespace has. */
export interface UserMapping {
  readonly uids: IdMapping;
  readonly gids: IdMapping;
}

export interface SecurityProfile {
  readonly type: "RuntimeDefault" | "Unconfined" | "Localhost";
  readonly localhostRef: string;
}

export interface SelinuxOptions {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  readonly level: string;
}

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface PortMapping {
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly containerPort: number;
  /** 0: not published on the host. */
  readonly hostPort: number;
  readonly hostIp: string;
}

export interface LinuxResources {
  readonly cpuPeriod: number;
  readonly cpuQuota: number;
  readonly cpuShares: number;
  readonly memoryLimitBytes: number;
  readonly oomScoreAdj: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly hugepageLimits: readonly { readonly pageSize: string; readonly limit: number }[];
  readonly unified: Readonly<Record<string, string>>;
  readonly memorySwapLimitBytes: number;
}

/** Zero and empty mean that nothing is said. */
export const NO_RESOURCES: LinuxResources = {
  cpuPeriod: 0,
  cpuQuota: 0,
  cpuShares: 0,
  memoryLimitBytes: 0,
  oomScoreAdj: 0,
  cpusetCpus: "",
  cpusetMems: "",
  hugepageLimits: [],
  unified: {},
  memorySwapLimitBytes: 0,
};

export interface PodSecurity {
  readonly namespaces: NamespaceOptions;
  readonly selinux?: SelinuxOptions | undefined;
  readonly runAsUser?: number | undefined;
  readonly runAsGroup?: number | undefined;
  readonly readonlyRootfs: boolean;
  readonly supplementalGroups: readonly number[];
  readonly supplementalGroupsPolicy: "Merge" | "Strict";
  readonly privileged: boolean;
  readonly seccomp?: SecurityProfile | undefined;
  readonly apparmor?: SecurityProfile | undefined;
}

export interface PodMetadata {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly attempt: number;
}

export interface PodConfig {
  readonly metadata: PodMetadata;
  readonly hostname: string;
  /** Host directory of the container logs; empty: no logs unless a container asks for an absolute path. */
  readonly logDirectory: string;
  readonly dns?: DnsConfig | undefined;
  readonly portMappings: readonly PortMapping[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** cgroupfs syntax, such as "/kubepods/burstable/pod123"; empty: the daemon's default. */
  readonly cgroupParent: string;
  readonly security: PodSecurity;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly overhead?: LinuxResources | undefined;
  readonly resources?: LinuxResources | undefined;
}

/**
 * A process that cannot be mistaken for another: the pid and its start time (field 22 of /proc/pid/stat,
 * clock ticks).
 */
export interface ProcessRef {
  readonly pid: number;
  readonly startTime: number;
}

/** The pod's networks, as the CNI results gave them. */
export interface PodNetwork {
  /** Addresses in the main network, without prefix length, the primary one first. Empty for host network. */
  readonly ips: readonly string[];
  /** Every interface, the one in the main network first. */
  readonly interfaces?: readonly PodInterface[] | undefined;
  /** What a plugin complained of when the attachments were last checked; absent when all was well. */
  readonly problem?: string | undefined;
}

export interface PodInterface {
  readonly name: string;
  /** Name of its CNI network. */
  readonly network: string;
  readonly ips: readonly string[];
}

/** A row of `pods`. State is derived from the timestamps by stateOfPod. */
export interface Pod {
  readonly id: PodId;
  readonly config: PodConfig;
  /** Runtime handler as requested; "" is the default. */
  readonly handler: string;
  readonly createdAt: Micros;
  /** Set by the commit of RunPodSandbox; until then the pod is invisible and is undone at start-up. */
  readonly readyAt: Micros | null;
  readonly stoppedAt: Micros | null;
  /** Set when a removal has begun: it is finished at start-up. */
  readonly removingAt: Micros | null;
  readonly monitor: ProcessRef | null;
  /** Host path of the pinned network namespace; "" for host network. */
  readonly netnsPath: string;
  /** True from before the first CNI ADD until every DEL succeeded. */
  readonly networkHeld: boolean;
  readonly network: PodNetwork;
  /** Absolute directory of the pod's cgroup. */
  readonly cgroupPath: string;
  /** Kernel boot id under which the pod was made: another one means that all its processes are gone. */
  readonly bootId: string;
}

/** As much of a pod as a list shows. */
export type ListedPod = Pick<
  Pod,
  | "id"
  | "handler"
  | "createdAt"
  | "readyAt"
  | "stoppedAt"
  | "removingAt"
  | "monitor"
  | "netnsPath"
  | "cgroupPath"
  | "network"
> & { readonly config: Pick<PodConfig, "metadata" | "labels" | "annotations" | "portMappings"> };

export type PodState = "READY" | "NOTREADY";
export type { ByteString };
