// What the pure part is given. Nothing here reads the host: what needs a look at it (devices, passwd
// files, compiled filters) is looked up by the verbs and handed in.
//
// The exported functions, each in the file of its name:
//   build-pod-plan.ts        buildPodPlan(input: PodPlanInput): Plan
//   build-container-plan.ts  buildContainerPlan(input: ContainerPlanInput): Plan
//   build-exec-plan.ts       buildExecPlan(input: ExecPlanInput): Plan
//   exec-template.ts         makeExecTemplate(input: ContainerPlanInput): ExecTemplate
//   resolve-user.ts          resolveUser(input: UserInput): ResolvedUser
//                            execUserInput(user: string, files): UserInput      ("user[:group]" of an exec)
//   capabilities.ts          capabilitySets(security, privileged, uid, host): CapabilitySets
//   seccomp-choice.ts        seccompChoice(input: SeccompChoiceInput): SeccompChoice
//   seccomp-default.ts       defaultSeccompRules(target: SeccompTarget): SeccompRules
//   seccomp-localhost.ts     parseSeccompProfile(name, json, target: SeccompTarget): SeccompRules
//   resources.ts             cgroupWrites(resources: LinuxResources): CgroupWrite[]
//                            missingControllers(writes, available): string[]
//   user-namespace.ts        userMappingOf(options): UserMapping | null
//   encode-plan.ts           encodePlan(plan: Plan): Uint8Array
//   describe-step.ts         describeStep(step: PlanStep): string
//   explain-failure.ts       explainPlanFailure(doing: string, plan: Plan, error: unknown): BerthError
//   oci.ts                   toOciSpec(input: OciSpecInput): OciSpec
//   oci-process.ts           ociProcess(input: OciProcessInput): OciProcess
//   runtime-mounts.ts        what is mounted for a foreign runtime, and what it mounts of that
//   runtime-plan.ts          buildRuntimeCreatePlan(input, command: RuntimeCommand): Plan
//                            buildRuntimeCommandPlan(command: RuntimeCommand, inherited?): Plan
//   hook-plan.ts             hookInput, buildRuntimeHookPlan, buildCreateContainerHookPlan, …
//
// All of them throw BerthError INVALID_ARGUMENT for what the client got wrong, and UNIMPLEMENTED for
// what berth does not do yet; neither is ever ignored.

import type { HostFacts, SeccompRules } from "../kernel/kernel.ts";
import type { ContainerConfig, ContainerSecurity, ExecTemplate, ProcessUser } from "../types/container.ts";
import type { Hooks } from "../types/handler.ts";
import type { ByteString, ImageId } from "../types/ids.ts";
import type { ImageRuntimeConfig } from "../types/image.ts";
import type { PodConfig } from "../types/pod.ts";
import type { SelinuxLabels } from "./selinux.ts";

export interface PodPlanInput {
  readonly config: PodConfig;
  /** Host path of the pinned network namespace; unused with host network. */
  readonly netnsPath: string;
  /** SELinux label of what is mounted for the pod; absent: none. */
  readonly mountLabel?: string | undefined;
}

/** A device node as the container gets it. The verb has looked at the host's node (stat). */
export interface DeviceNode {
  /** Absolute path inside the container. */
  readonly path: string;
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  /** Permission bits, such as 0o660. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Some of "r", "w" and "m": what the container may do with it. */
  readonly access: string;
}

export interface ContainerPlanPaths {
  /** Paths.snapshots: what `lowers` and `snapshot` are relative to. */
  readonly snapshots: string;
  readonly rootAttach: string;
  /** Where what a foreign runtime takes from the host is mounted. */
  readonly mountsAttach: string;
  /** An empty layer, relative to `snapshots`: below the only layer of an image that is a volume. */
  readonly emptyLayer: string;
  /** Host files that the container sees in /etc; "" leaves the image's own. */
  readonly resolvConf: string;
  readonly hostname: string;
  readonly hosts: string;
}

export interface ContainerPlanInput {
  readonly pod: PodConfig;
  readonly container: ContainerConfig;
  readonly image: ImageRuntimeConfig;
  /** Layer directories relative to paths.snapshots, the top layer first. */
  readonly lowers: readonly string[];
  /** Paths.snapshotRelative(n): "<snapshot>/u" is the upper, "<snapshot>/w" the work directory. */
  readonly snapshot: string;
  readonly paths: ContainerPlanPaths;
  readonly host: HostFacts;
  readonly user: ResolvedUser;
  /** Null or absent: nothing is labelled. */
  readonly selinux?: SelinuxLabels | null | undefined;
  /** Compiled filter; null: unconfined (see seccompChoice). */
  readonly seccomp: Uint8Array | null;
  /** The nodes of container.devices, after a look at the host. */
  readonly devices: readonly DeviceNode[];
  /** Every device node below the host's /dev; used when the container is privileged. */
  readonly hostDevices: readonly DeviceNode[];
  readonly forceLegacyOverlay: boolean;
  /** Layers of the images that are mounted as volumes, by image id, as `lowers`. */
  readonly volumeLowers: ReadonlyMap<ImageId, readonly string[]>;
  /** Hooks run before the root is entered: the plan waits for them there. */
  readonly pauses?: boolean | undefined;
}

/** Namespaces that exist already, by their paths. */
export interface NamespacePaths {
  readonly user?: string | undefined;
  readonly network?: string | undefined;
  readonly ipc?: string | undefined;
  readonly uts?: string | undefined;
  readonly pid?: string | undefined;
}

export interface OciSpecInput {
  readonly container: ContainerPlanInput;
  /** Where the runtime or the hooks find the root file system. */
  readonly rootPath: string;
  readonly namespaces: NamespacePaths;
  /** Relative to the cgroup mount, with a slash in front. */
  readonly cgroupsPath: string;
  readonly seccomp: SeccompRules | null;
  readonly hooks: Hooks;
}

/** One execution of a foreign runtime. */
export interface RuntimeCommand {
  /** With the program as the first word, absolute. */
  readonly argv: readonly string[];
  /** Working directory. */
  readonly directory: string;
  /** Whose network, UTS and IPC namespaces are the host's. */
  readonly daemonPid: number;
  /** Where the host mounts cgroup2. */
  readonly cgroupMount: string;
}

export interface ExecPlanInput {
  readonly template: ExecTemplate;
  readonly argv: readonly string[];
  readonly host: HostFacts;
  /** The container's own filter again, or null (unconfined, or a privileged exec). */
  readonly seccomp: Uint8Array | null;
  /** A terminal of this size (0: not known yet); absent: none. */
  readonly console?: { readonly rows: number; readonly columns: number } | undefined;
  /** "NAME=value", on top of the container's. */
  readonly env?: readonly ByteString[] | undefined;
  readonly user?: ResolvedUser | undefined;
  readonly workingDir?: string | undefined;
  readonly privileged?: boolean | undefined;
}

/** A process as an exec's plan and the OCI's process object both describe it. */
export interface ExecutedProcess {
  readonly args: readonly string[];
  readonly env: readonly ByteString[];
  readonly cwd: string;
  readonly console: ExecPlanInput["console"];
  readonly user: ProcessUser;
  readonly security: ContainerSecurity;
  readonly privileged: boolean;
  readonly noNewPrivs: boolean;
}

/** Contents of /etc/passwd and /etc/group of the image; null when it has none. */
export interface UserFiles {
  readonly passwd: Uint8Array | null;
  readonly group: Uint8Array | null;
}

export interface UserInput extends UserFiles {
  readonly security: Pick<
    ContainerSecurity,
    "runAsUser" | "runAsGroup" | "runAsUsername" | "supplementalGroups" | "supplementalGroupsPolicy"
  >;
  /** User of the image config: "", "user", "uid", "user:group", "uid:gid". */
  readonly imageUser: string;
}

export interface ResolvedUser extends ProcessUser {
  /** Home directory of the passwd entry, or "/". */
  readonly home: string;
}

/** Masks of CAP_* numbers. */
export interface CapabilitySets {
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

export interface SeccompChoiceInput {
  readonly security: ContainerSecurity;
  readonly lastCapability: number;
}

/** Which filter a container gets. `capabilities` (its bounding set) is part of a cache's key. */
export type SeccompChoice =
  | { readonly type: "unconfined" }
  | { readonly type: "default"; readonly capabilities: bigint }
  /** `name` is relative to the profile directory, checked to stay beneath it. */
  | { readonly type: "localhost"; readonly name: string; readonly capabilities: bigint };

export interface SeccompTarget {
  /** Bounding set of the container. */
  readonly capabilities: bigint;
  readonly architecture: "x86_64" | "aarch64";
  /** Such as "6.1.0-18-amd64". */
  readonly kernelRelease: string;
}

/** One write to a cgroup v2 interface file, and the controller that it needs; "" for none. */
export interface CgroupWrite {
  readonly file: string;
  readonly value: string;
  readonly controller: string;
}
