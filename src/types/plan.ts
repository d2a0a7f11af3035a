// The plan: what a monitor or a container's init does, in order, as primitive steps. Pure data.
// `src/spec/encode-plan.ts` lays it out in one buffer; `addon/init/plan.h` mirrors the numbers.
// Steps run in the new process between clone3 and execve (container, exec) or in the monitor
// itself (pod). Paths called "target" are resolved beneath the root (openat2 RESOLVE_IN_ROOT).

/** Host paths, resolved in the mount namespace of the daemon, are called `source` or `path`. */
export type PlanStep =
  // -- pod plans, executed by the monitor before it answers ------------------------------------
  /** Joins the network namespace pinned at `path`. */
  | { op: "join-netns"; path: string }
  /**
   * The pod's user namespace, which owns those that are made after it: the owner of the network namespace at
   * `netnsPath`, or, where that is "", a new one with these maps.
   */
  | { op: "user-namespace"; netnsPath: string; uidMap: string; gidMap: string }
  /** unshare(2) of the monitor; CLONE_NEW* flags (ipc, uts). */
  | { op: "unshare"; flags: number }
  | { op: "set-hostname"; hostname: string }
  /** Writes /proc/sys/<key with dots as slashes>. */
  | { op: "sysctl"; key: string; value: string }
  /** SELinux context of the file systems that the steps after it mount; for container plans as well. */
  | { op: "mount-label"; label: string }
  /** Makes the pod's /dev/shm, held by the monitor in a mount namespace of its own. */
  | { op: "create-shm"; sizeBytes: number; uid: number; gid: number }
  /** Forks the reaping PID 1 of a new PID namespace that containers of the pod share; its user and group. */
  | { op: "pod-init"; nobody: number }
  // -- container plans -------------------------------------------------------------------------
  /** mount(NULL, "/", NULL, flags): MS_REC | MS_SLAVE, usually. */
  | { op: "mount-propagation"; flags: number }
  /**
   * In plans of pods with a user namespace: what comes before is done with the host's privileges and
   * inherited by the container's process, what follows, up to take-mounts, by a mounter with them; the
   * process itself is born in the user namespace and does the rest (addon/init/init.h).
   */
  | { op: "enter-user-namespace" }
  /**
   * The container's process enters the mount namespace that the mounter has made. `rootOpen`: its root is not
   * entered yet, since hooks come before; pivot-root follows.
   */
  | { op: "take-mounts"; rootOpen: boolean }
  /** The pod's user namespace as a file, into a slot: for a runtime that is to join it by path. */
  | { op: "open-user-namespace"; slot: number }
  /**
   * open_tree(OPEN_TREE_CLONE) of a host path into a slot, for a later attach-tree. `idMap`: the ids of its
   * uppermost mount as the pod's user namespace has them, or by maps of its own.
   */
  | {
      op: "open-tree";
      slot: number;
      source: string;
      recursive: boolean;
      idMap: "none" | "pod" | { readonly uidMap: string; readonly gidMap: string };
      /** MS_SHARED, MS_SLAVE: what the mount of the host must be (EOPNOTSUPP otherwise); 0: anything. */
      requiredPropagation: number;
    }
  /**
   * From here on the ids of everything below `base`, and of layers that are mounts, are mapped with the pod's
   * user namespace.
   */
  | { op: "map-snapshots"; base: string }
  /** What is made from here on belongs to these ids of the host. */
  | { op: "file-ids"; uid: number; gid: number }
  /**
   * A read-only overlay of `lowers` (as of overlay-root), or `subPath` of it, into a slot. Links of the image
   * do not lead out of it. `attachAt` is where it stands for the moment.
   */
  | {
      op: "image-tree";
      slot: number;
      base: string;
      lowers: readonly string[];
      attachAt: string;
      subPath: string;
      forceLegacy: boolean;
    }
  /** The same of the pod's /dev/shm. */
  | { op: "open-shm"; slot: number }
  /**
   * The overlay root. `lowers` (top first), `upper` and `work` are relative to `base`; attached at
   * `attachAt`. A layer with an absolute path is a mount, attached nowhere: "/proc/<pid>/fd/<n>".
   */
  | {
      op: "overlay-root";
      base: string;
      lowers: readonly string[];
      upper: string;
      work: string;
      attachAt: string;
      volatile: boolean;
      /** Device nodes in the root can be opened; else it is mounted nodev. */
      allowDevices: boolean;
      /** Use mount(2) although fsopen would do; for tests of the old kernels' path. */
      forceLegacy: boolean;
    }
  /**
   * fsopen + fsconfig + fsmount + move_mount. `attributes` are MOUNT_ATTR_*. `options` are "key=value" or
   * "key".
   */
  | {
      op: "mount";
      fstype: string;
      source: string;
      target: string;
      attributes: number;
      options: readonly string[];
      createTarget: boolean;
    }
  /** Attaches a slot. `setAttributes`/`clearAttributes` by mount_setattr, `propagation` an MS_* flag or 0. */
  | {
      op: "attach-tree";
      slot: number;
      target: string;
      setAttributes: number;
      clearAttributes: number;
      propagation: number;
      recursiveAttributes: boolean;
      /** Creates a missing target: a directory or an empty file, as the source is. */
      createTarget: boolean;
    }
  /** The mount at `target` gets and passes on mounts as the tree in the slot does (MOVE_MOUNT_SET_GROUP). */
  | { op: "share-group"; slot: number; target: string }
  | {
      op: "make-node";
      target: string;
      mode: number;
      major: number;
      minor: number;
      uid: number;
      gid: number;
      /** Change the owner also when it is 0:0, which is not who makes it (file-ids). */
      setOwner: boolean;
    }
  | { op: "symlink"; content: string; target: string }
  /** mkdir -p; only the last component gets mode and owner, and only when it was made. */
  | { op: "make-dir"; target: string; mode: number; uid: number; gid: number }
  /** Hides a path: a directory under an empty read-only tmpfs, a file under /dev/null. Missing is fine. */
  | { op: "mask"; target: string }
  | { op: "readonly-path"; target: string }
  /** The container's cgroup at `target` belongs to these ids of the host (cgroups(7), delegation). */
  | { op: "delegate-cgroup"; target: string; uid: number; gid: number }
  /** The root mount itself becomes read-only. */
  | { op: "root-readonly" }
  /**
   * A pty of the container's own devpts; its master goes to the monitor, its slave becomes stdio and
   * /dev/console.
   */
  | { op: "console"; rows: number; columns: number }
  | { op: "pivot-root" }
  // -- container and exec plans ----------------------------------------------------------------
  /** setns into the namespaces of the target container (CLONE_NEW* flags). */
  | { op: "join"; flags: number }
  /** Root of the user namespace that was just joined. */
  | { op: "become-root" }
  /** The pipes of stdio belong to these ids of the host, so that the process can open /dev/stdout. */
  | { op: "own-stdio"; uid: number; gid: number }
  /** With `clamp` it goes on at the nearest value when the kernel forbids the wanted one. */
  | { op: "oom-score"; value: number; clamp: boolean }
  | { op: "rlimit"; resource: number; soft: number; hard: number; clamp: boolean }
  | { op: "session-keyring" }
  | { op: "cap-bounding"; mask: bigint }
  /** setgroups, then setresgid and setresuid, keeping permitted capabilities for the steps that follow. */
  | { op: "set-groups"; groups: readonly number[] }
  | { op: "set-user"; uid: number; gid: number }
  | { op: "cap-set"; effective: bigint; permitted: bigint; inheritable: bigint }
  | { op: "cap-ambient"; mask: bigint }
  | { op: "no-new-privs" }
  | { op: "seccomp"; program: Uint8Array; flags: number }
  | { op: "umask"; mask: number }
  | { op: "chdir"; directory: string }
  /** Writes to a file of /proc/self/attr (AppArmor, SELinux exec attributes). */
  | { op: "exec-attribute"; file: string; value: string }
  /** Everything is set up: tell the monitor, wait for its "go". */
  | { op: "ready" }
  /** Searches `path` (a PATH value) when argv[0] has no slash. Strings are byte strings (latin1). */
  | {
      op: "exec";
      argv: readonly string[];
      env: readonly string[];
      path: string;
      /** The program, when that is not argv[0]; absolute. */
      file?: string;
    }
  // -- hooks and foreign runtimes ----------------------------------------------------------------
  /** Tells the monitor that the daemon's hooks can run now, and waits for its "go". */
  | { op: "pause" }
  /** setns into the namespace at a host path; a CLONE_NEW* flag. */
  | { op: "join-path"; path: string; flags: number }
  /** What follows is resolved beneath the host's root, in this process's own mount namespace. */
  | { op: "host-root" }
  /** The same, beneath a directory of the host. */
  | { op: "host-directory"; path: string }
  /**
   * This process enters a copy of its mounts that the pod's user namespace owns. Whatever is made of them
   * from then on, no capability in there undoes a read-only or nodev mount.
   */
  | { op: "lock-mounts" };

export type PlanOp = PlanStep["op"];

/** Where the process of a plan is born. */
export interface Plan {
  /** CLONE_NEW* flags of the process itself, besides what it inherits from the monitor. */
  readonly cloneFlags: number;
  /**
   * "own": as cloneFlags say; "pod": the pod's shared PID namespace; "container": that of the target
   * container.
   */
  readonly pidNamespace: "own" | "pod" | "container";
  readonly steps: readonly PlanStep[];
}
