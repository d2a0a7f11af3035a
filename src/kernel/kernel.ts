// The daemon's own hand in the kernel, as an interface: `binding.ts` is the real one, `fake.ts` a
// recording one. Every call that may block is a promise and runs off the event loop. All reject with
// KernelError{step, errno, path}.

import type { Digest } from "../types/ids.ts";
import type { ProcessRef } from "../types/pod.ts";

export interface ProcessKernel {
  /**
   * Copies the monitor's binary into a sealed memfd; to be called once. Returns nothing: the addon keeps
   * it.
   */
  loadMonitor(binaryPath: string): Promise<void>;
  /**
   * clone3(CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_VFORK) of a monitor, which executes `plan` and answers.
   * Rejects with the step that failed: `step` is then "plan:<index>" for a plan step.
   */
  spawnMonitor(request: {
    /** Shown in ps: "berth-monitor <title>". */
    title: string;
    cgroupPath: string;
    /** Directory of exit records and of the socket. */
    stateDir: string;
    /** At most 107 bytes (sun_path). */
    socketPath: string;
    plan: Uint8Array;
    timeoutMs: number;
  }): Promise<ProcessRef>;
  /**
   * Start time of a live, unreaped process (field 22 of /proc/pid/stat), or null. Synchronous: one small
   * read.
   */
  processStartTime(pid: number): number | null;
  /** pidfd_open, check of the start time, pidfd_send_signal. False when the process is gone. */
  signalProcess(process: ProcessRef, signal: number): boolean;
}

/** What the processes of a cgroup may do with device nodes; whatever no rule allows is refused (EPERM). */
export interface DeviceRule {
  /** Character devices, block devices, or all. */
  readonly type: "c" | "b" | "a";
  /** Undefined is any. */
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  /** Some of "r" (open to read), "w" (open to write) and "m" (mknod). */
  readonly access: string;
}

export interface CgroupKernel {
  /** Mount point of the cgroup2 hierarchy, such as "/sys/fs/cgroup". */
  cgroupMount(): Promise<string>;
  /** mkdir of the whole path (absolute, beneath the mount); existing directories are fine. */
  createCgroup(path: string): Promise<void>;
  /** Writes to one interface file of the cgroup. */
  writeCgroup(path: string, file: string, value: string): Promise<void>;
  /** Contents of one interface file, or null when the file or the cgroup is missing. */
  readCgroup(path: string, file: string): Promise<string | null>;
  /** Lets only what the rules allow, for the cgroup and all beneath it. Needs BPF of the kernel. */
  attachDeviceFilter(path: string, rules: readonly DeviceRule[]): Promise<void>;
  /**
   * Writes 1 to cgroup.kill; waits until the cgroup is unpopulated or `timeoutMs` passed. False on time-
   * out. A missing cgroup is true.
   */
  killCgroup(path: string, timeoutMs: number): Promise<boolean>;
  /**
   * oom_score_adj of every process in the cgroup and beneath it. With `clamp`, a value that the daemon may
   * not set is left out.
   */
  setOomScore(path: string, value: number, clamp: boolean): Promise<void>;
  /**
   * killCgroup, and when nothing is left, rmdir of the cgroup and its descendants, retrying EBUSY for a
   * short while.
   */
  destroyCgroup(path: string, timeoutMs: number): Promise<boolean>;
}

/** Lines of /proc/<pid>/uid_map and gid_map: "inside outside length". */
export interface IdMaps {
  readonly uids: string;
  readonly gids: string;
}

export interface NetnsKernel {
  /**
   * Makes a network namespace on a fresh thread, with loopback up, and pins it at `path` (bind mount). With
   * `maps` it is owned by a new user namespace that has them.
   */
  createNetns(path: string, maps?: IdMaps): Promise<void>;
  /** Unpins and unlinks. Missing is fine. */
  removeNetns(path: string): Promise<void>;
  /** Paths beneath `directory` at which a network namespace is pinned. */
  listNetns(directory: string): Promise<string[]>;
  /**
   * Connects to a TCP port of the loopback (127.0.0.1, else ::1) in the network namespace pinned at `path`,
   * "" for the daemon's own, on a fresh thread. Gives the descriptor of a connected socket, which is the
   * caller's to close. ECONNREFUSED when nothing listens; ETIMEDOUT after `timeoutMs` for each address.
   */
  dialLoopback(path: string, port: number, timeoutMs: number): Promise<number>;
}

export interface UnpackLimits {
  /** Bytes of all files of the layer after inflation, tar headers included. */
  maxUnpackedBytes: number;
  maxEntries: number;
}

export interface UnpackFiles {
  /**
   * Keeps the compressed stream (made when missing, 0600). What it holds already is unpacked first, natively;
   * what is written comes behind it. It is not synced: after a power cut its end may be anything, which shows
   * as damaged data or as another `blobDigest`. Then, and whenever the data is found damaged, remove the file
   * and begin again. It is locked while it grows: EAGAIN when another unpacking has it.
   */
  readonly blobFile?: string;
  /** Gets the tar record (must not exist yet), synced with the layer: see `recreateLayer`. */
  readonly recordFile?: string;
}

/**
 * What a layer is on disk: a directory that holds its tree, or one regular file (0600), an EROFS image of it
 * (addon/kernel/erofs_format.h).
 */
export type LayerForm = "directory" | "erofs";

/** A blob that is no archive but the content of one file. */
export interface FramedFile {
  /** Relative and clean: its directories are made with it. No component begins with ".wh.". */
  readonly name: string;
  /** Of the whole blob; a stream of any other length is refused. */
  readonly size: number;
  /** Whole seconds since the epoch, below 2 ** 33. */
  readonly mtime: number;
}

export interface UnpackResult {
  /** Digest of the compressed stream and of the tar inside it. */
  readonly blobDigest: Digest;
  readonly diffId: Digest;
  readonly blobBytes: number;
  readonly unpackedBytes: number;
  readonly entries: number;
  /**
   * An entry that a later one of the same layer replaced: `recreateLayer` cannot make the tar again, and will
   * say so. "" when there is none.
   */
  readonly lost: string;
}

/** One layer on its way to disk: inflating, hashing and untarring happen on native threads. */
export interface LayerUnpack {
  /**
   * Resolves when the blob file has been replayed, with its size: the stream goes on there. 0 without a blob
   * file. To be awaited before the first write when there is one. A blob file that is whole needs no write.
   */
  resumeAt(): Promise<number>;
  /**
   * Takes the next piece of the compressed stream, one write at a time. Undefined when all of it was taken at
   * once, else resolves when it is (the piece is the caller's again then); rejects with what went wrong.
   */
  write(chunk: Uint8Array): Promise<void> | undefined;
  /** The stream is complete: resolves when everything is on disk and synced. */
  finish(): Promise<UnpackResult>;
  /** Stops the threads. What was written stays for the caller to remove. Idempotent. */
  abort(): Promise<void>;
}

/** What a tar record says of its layer. */
export interface LayerRecord {
  readonly diffId: Digest;
  readonly unpackedBytes: number;
  /** sha256 and size of the compressed stream it was unpacked from. */
  readonly blobDigest: Digest;
  readonly blobBytes: number;
  readonly entries: number;
  /** As in UnpackResult. */
  readonly lost: string;
}

export interface DamagedEntry {
  /** As the tar names it. */
  readonly path: string;
  /** "is missing", "has 0 bytes instead of 12", … */
  readonly what: string;
}

export interface LayerComparison extends LayerRecord {
  /** Empty when all is as it should be. */
  readonly damaged: readonly DamagedEntry[];
}

/**
 * All of these read within the layer only, a directory or an image, whatever the record or a link says. A
 * record that is damaged or not complete, or an image whose header or index is, rejects with DATA_LOSS.
 */
export interface LayerRecordKernel {
  /** Reads the record's head: one small read. */
  readLayerRecord(recordFile: string): Promise<LayerRecord>;
  /**
   * Compares every entry's type, size, mode, owner and link target with the record, and tells of what is
   * there and in no entry (unless `lost` names one). Reads no contents.
   */
  checkLayer(layer: string, recordFile: string): Promise<LayerComparison>;
  /**
   * The same, and contents and extended attributes. `diffId` is that of the tar as it would be made now: it
   * is the layer's own when every content is sound, unless `lost` names an entry.
   */
  verifyLayer(layer: string, recordFile: string): Promise<LayerComparison>;
  /**
   * The layer's tar, bit by bit as it was, in pieces of about 1 MiB. It is compared with the diff ID before
   * the last piece is given: a layer that is damaged rejects with DATA_LOSS, one that cannot be made again
   * (`lost`) with FAILED_PRECONDITION before the first piece.
   */
  recreateLayer(layer: string, recordFile: string): AsyncIterableIterator<Uint8Array>;
}

export interface LayerKernel extends LayerRecordKernel {
  /**
   * Begins to unpack into the existing, empty directory `path`, or, in the form "erofs", into a file `path`
   * that must not exist. The compression is found from the stream's magic. With `file` the stream becomes
   * that file as it is, 0644 and root's, and everything that is said of a tar holds for one with this file
   * alone. In a directory, a complete `blobFile` on the same file system becomes this very file, by another
   * name.
   * EOVERFLOW tells of a layer that no image can hold: unpack it again, as a directory.
   */
  unpackLayer(
    path: string,
    limits: UnpackLimits,
    files?: UnpackFiles,
    file?: FramedFile,
    form?: LayerForm,
  ): LayerUnpack;
  /**
   * A container's writable snapshot at `path`, whose parent exists: "u" (upper, 0755) and "w" (work, 0700),
   * whatever the umask. Existing ones are fine.
   */
  makeSnapshot(path: string): Promise<void>;
  /** Removes a tree without following links or crossing mounts. Missing is fine. */
  removeTree(path: string): Promise<void>;
  /**
   * Mounts a layer that is an EROFS image, attached nowhere, and gives a descriptor of the mount, which is
   * the caller's to close. Every call makes a superblock with a page cache of its own.
   */
  mountLayer(path: string): Promise<number>;
  /**
   * Tries, with a small image in `directory`, whether this host can make roots of layers that are EROFS
   * images, in user namespaces too. "" when it can, else the step that fails, and why. Rejects when it cannot
   * be tried, such as on a full disk. Leaves nothing.
   */
  probeErofs(directory: string): Promise<string>;
  /**
   * Reads a file of the overlay made of `layers` (absolute directories, top first), links resolved inside;
   * null when missing.
   */
  readBeneath(layers: readonly string[], path: string, maxBytes: number): Promise<Uint8Array | null>;
  /**
   * Gives a file or a tree an SELinux label, without following links beneath it or crossing mounts. A file
   * system without labels is fine. May hang with the file system, on a thread of its own.
   */
  relabel(path: string, label: string): Promise<void>;
  /** Bytes (512-byte blocks allocated) and inodes of a directory with all below it, or of a file. */
  treeUsage(path: string): Promise<{ bytes: number; inodes: number }>;
  /**
   * The overlay of `layers` (absolute directories, top first) as a tar, read by descriptors, following
   * nothing; sockets are left out. It may change meanwhile. Leaving the loop early stops the reading.
   */
  treeTar(layers: readonly string[]): AsyncIterable<Uint8Array>;
  /** syncfs of the file system that holds `path`. */
  syncFilesystem(path: string): Promise<void>;
  /**
   * ENOSPC when the file system that holds `path` has no more room than images leave to others. Unpacking
   * looks by itself.
   */
  requireDiskRoom(path: string): Promise<void>;
}

/** A seccomp profile with the conditions on capabilities and architectures already decided. */
export interface SeccompRules {
  /** "SCMP_ACT_ERRNO", … */
  readonly defaultAction: string;
  readonly defaultErrno: number;
  /** "SCMP_ARCH_X86_64", … */
  readonly architectures: readonly string[];
  readonly rules: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errno: number;
    readonly args: readonly {
      readonly index: number;
      readonly value: bigint;
      readonly valueTwo: bigint;
      /** "SCMP_CMP_EQ", … */
      readonly op: string;
    }[];
  }[];
}

export interface SeccompKernel {
  /**
   * Compiles to a BPF program (struct sock_filter[]) with libseccomp, binary tree optimisation. Unknown
   * system calls are skipped.
   */
  compileSeccomp(rules: SeccompRules): Promise<Uint8Array>;
}

export interface HostFacts {
  readonly kernelRelease: string;
  readonly bootId: string;
  /** Controllers available in the cgroup2 hierarchy's root. */
  readonly cgroupControllers: readonly string[];
  readonly capSysResource: boolean;
  /** Hard limit of open files that the daemon may hand on. */
  readonly nofileHard: number;
  readonly lastCapability: number;
  readonly apparmor: boolean;
  /** berth's own AppArmor profile is loaded: the daemon adds this fact at start-up. */
  readonly apparmorDefault?: boolean | undefined;
  readonly selinux: boolean;
  /** The policy's labels for containers, "user:role:type:level": the daemon adds them at start-up. */
  readonly selinuxContexts?: { readonly process: string; readonly file: string } | undefined;
  /** The kernel filters by BPF which devices a cgroup may open. */
  readonly deviceFilter: boolean;
}

export interface HostKernel {
  hostFacts(): Promise<HostFacts>;
  /**
   * Tries what pods with user namespaces need: makes one, and maps the ids of a mount of `directory`. Rejects
   * with the step that this host cannot do.
   */
  probeUserNamespaces(directory: string): Promise<void>;
  /**
   * Gives back what the C library holds free of this process's memory (malloc_trim(3)). Whoever allocates
   * meanwhile waits some milliseconds.
   */
  releaseMemory(): Promise<void>;
}

/** 0: interface files alone; 1: also each process; 2: also each process's descriptors. */
export type StatsDepth = 0 | 1 | 2;

export interface StatsReading {
  /** One row per wish, columns as STATS_FIELDS; NaN for what is not counted here, Infinity for "max". */
  readonly numbers: Float64Array;
  /** Per wish of depth 2: io.stat as it is, "" without the io controller. */
  readonly io: readonly string[];
  /** Per wish of depth 2: lines of "<page size> <bytes>". */
  readonly hugepages: readonly string[];
}

/** Files of /proc/<pid> as they are; empty when the process ended meanwhile. */
export interface ProcessText {
  readonly pid: number;
  readonly stat: Buffer;
  readonly status: Buffer;
  readonly cmdline: Buffer;
}

export interface StatsKernel {
  /** Every process of a cgroup and of those beneath it, at most 4096. ENOENT when it is missing. */
  readProcesses(cgroup: string): Promise<ProcessText[]>;
  /** One look at many cgroups. A missing one has a row of NaN alone. */
  readStats(wishes: readonly { path: string; depth: StatsDepth }[]): Promise<StatsReading>;
  /** Text of /proc/<pid>/net/dev per process, "" when it is gone. */
  readNetworkDevices(processes: readonly ProcessRef[]): Promise<string[]>;
}

export interface Kernel
  extends ProcessKernel,
    CgroupKernel,
    NetnsKernel,
    LayerKernel,
    SeccompKernel,
    StatsKernel,
    HostKernel {}
