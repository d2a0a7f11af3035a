// A container: the CRI's ContainerConfig without its wire types, and its row.

import type { ContainerRuntime } from "./handler.ts";
import type { ByteString, ContainerId, ImageId, Micros, PodId } from "./ids.ts";
import type {
  IdMapping,
  LinuxResources,
  NamespaceOptions,
  ProcessRef,
  SecurityProfile,
  SelinuxOptions,
  UserMapping,
} from "./pod.ts";

export type MountPropagation = "PRIVATE" | "HOST_TO_CONTAINER" | "BIDIRECTIONAL";

export interface ImageRequest {
  readonly image: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly userSpecifiedImage: string;
  readonly runtimeHandler: string;
  readonly imageRef: string;
}

export interface ContainerMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly selinuxRelabel: boolean;
  readonly propagation: MountPropagation;
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
  readonly recursiveReadOnly: boolean;
  readonly image?: ImageRequest | undefined;
  readonly imageSubPath: string;
  readonly mountOptions: readonly string[];
}

export interface ContainerDevice {
  readonly containerPath: string;
  readonly hostPath: string;
  /** Some of "r", "w" and "m". */
  readonly permissions: string;
}

export interface EnvVar {
  readonly name: ByteString;
  readonly value: ByteString;
}

export interface ContainerSecurity {
  readonly addCapabilities: readonly string[];
  readonly dropCapabilities: readonly string[];
  readonly ambientCapabilities: readonly string[];
  readonly privileged: boolean;
  /** Absent: as the pod. */
  readonly namespaces?: NamespaceOptions | undefined;
  readonly selinux?: SelinuxOptions | undefined;
  readonly runAsUser?: number | undefined;
  readonly runAsGroup?: number | undefined;
  readonly runAsUsername: string;
  readonly readonlyRootfs: boolean;
  readonly supplementalGroups: readonly number[];
  readonly supplementalGroupsPolicy: "Merge" | "Strict";
  readonly noNewPrivs: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  /** Absent: unconfined (cri-surface, "presence matters"). */
  readonly seccomp?: SecurityProfile | undefined;
  readonly apparmor?: SecurityProfile | undefined;
}

export interface ContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number };
  readonly image: ImageRequest;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly envs: readonly EnvVar[];
  readonly mounts: readonly ContainerMount[];
  readonly devices: readonly ContainerDevice[];
  readonly cdiDevices: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Relative to the pod's log directory. */
  readonly logPath: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** 0: the image's, then SIGTERM. */
  readonly stopSignal: number;
  readonly resources?: LinuxResources | undefined;
  readonly security: ContainerSecurity;
}

/** Numeric identity of a container's process, after the image's passwd and group were read. */
export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the primary one included, ascending. */
  readonly groups: readonly number[];
}

/** What the monitor recorded when the container's first process ended. */
export interface ExitFacts {
  readonly finishedAt: Micros;
  /** 0..255; 128 + signal when a signal ended it. */
  readonly exitCode: number;
  /** 0 when it exited by itself. */
  readonly signal: number;
  readonly oomKilled: boolean;
}

/** A row of `containers`. State is derived by stateOfContainer. */
export interface Container {
  readonly id: ContainerId;
  readonly podId: PodId;
  readonly config: ContainerConfig;
  readonly imageId: ImageId;
  /** The reference as requested, for ContainerStatus.image. */
  readonly imageRef: string;
  readonly createdAt: Micros;
  /** Set by the commit of CreateContainer; until then the container is invisible and undone at start-up. */
  readonly preparedAt: Micros | null;
  readonly startedAt: Micros | null;
  readonly finishedAt: Micros | null;
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly oomKilled: boolean;
  /** "OOMKilled", "Completed", "Error", "StartError", "ContainerStatusUnknown". */
  readonly reason: string;
  readonly message: string;
  readonly removingAt: Micros | null;
  /** Host pid of the container's first process. */
  readonly process: ProcessRef | null;
  readonly user: ProcessUser;
  readonly cgroupPath: string;
  /** Absolute; "" when the container has no log. */
  readonly logPath: string;
  readonly stopSignal: number;
  /** Number of the writable snapshot, the name of its directory. */
  readonly snapshot: number;
  /** What exec needs: encoded once by CreateContainer (see ExecTemplate). */
  readonly execTemplate: ExecTemplate;
  /** Null for the native handler without hooks: the monitor alone. */
  readonly runtime: ContainerRuntime | null;
}

/** As much of a container as stats are told of. */
export type MeasuredContainer = Pick<
  Container,
  | "id"
  | "podId"
  | "imageId"
  | "imageRef"
  | "createdAt"
  | "preparedAt"
  | "startedAt"
  | "finishedAt"
  | "exitCode"
  | "oomKilled"
  | "cgroupPath"
  | "snapshot"
> & {
  readonly config: Pick<
    ContainerConfig,
    "metadata" | "image" | "labels" | "annotations" | "command" | "args" | "tty" | "stdin"
  > & { readonly resources?: Pick<LinuxResources, "cpuShares"> | undefined };
};

/** What the container's image is called now; null where it has no such name or is not here. */
export interface ImageNames {
  /** "registry/repository:tag". */
  readonly tag: string | null;
  /** "registry/repository@sha256:…". */
  readonly digest: string | null;
}

/** As much of a container as a list shows. */
export type ListedContainer = MeasuredContainer & { readonly imageNames: ImageNames };

/** What an exec inherits from its container. */
export interface ExecTemplate {
  readonly env: readonly ByteString[];
  readonly workingDir: string;
  readonly user: ProcessUser;
  readonly privileged: boolean;
  readonly security: ContainerSecurity;
  /** The container's; absent means 0. */
  readonly oomScoreAdj?: number | undefined;
  /** SELinux label of the container's processes; absent: none. */
  readonly selinuxLabel?: string | undefined;
  /** Of the pod's user namespace; absent: it has the host's. */
  readonly userMapping?: UserMapping | undefined;
}

export type ContainerState = "CREATED" | "RUNNING" | "EXITED" | "UNKNOWN";
