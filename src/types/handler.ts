// Runtime handlers (who makes a container's process) and OCI hooks (what runs around it).

/** An external OCI runtime with the usual command line. */
export interface OciHandler {
  readonly name: string;
  readonly type: "oci";
  /** Absolute path of the program. */
  readonly path: string;
  /** Arguments before the command. */
  readonly args: readonly string[];
  /** Directory in which the runtime keeps its state; "": one of the container's own. */
  readonly root: string;
  /** How long one command may take, without the hooks that it runs. */
  readonly timeoutMs: number;
  /** A privileged container sees the standard devices only. */
  readonly privilegedWithoutHostDevices: boolean;
}

export type HandlerConfig = OciHandler | { readonly name: string; readonly type: "native" };

/** In the order in which they run (OCI runtime specification, config.md, "POSIX-platform Hooks"). */
export const HOOK_STAGES = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

export type HookStage = (typeof HOOK_STAGES)[number];

export interface Hook {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Seconds. */
  readonly timeout: number;
}

export type Hooks = Readonly<Partial<Record<HookStage, readonly Hook[]>>>;

/** The runtime of a container as it was when that was created: a changed configuration does not touch it. */
export interface RuntimeOfContainer extends OciHandler {
  /** `exec --cgroup` works: an exec can be killed as a whole from its first instant. */
  readonly execsInCgroup: boolean;
}

/** What stands around a container besides its monitor. */
export interface ContainerRuntime {
  /** Null: the native handler. */
  readonly handler: RuntimeOfContainer | null;
  readonly hooks: Hooks;
}

/** What a handler can do (CRI, RuntimeHandlerFeatures). */
export interface HandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}
