// Every path once. Durable things live below `root`, volatile ones below `state`.

import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import type { ContainerId, Digest, ImageId, PodId } from "./types/ids.ts";

export interface Paths {
  /** Durable: /var/lib/berth. */
  readonly root: string;
  /** Volatile: /run/berth. */
  readonly state: string;
  readonly socket: string;
  readonly database: string;
  /** Working directory of overlay mounts; layer and snapshot paths in plans are relative to it. */
  readonly snapshots: string;
  /**
   * Directory in which a container's root is attached inside its own mount namespace; always empty in the
   * host.
   */
  readonly rootAttach: string;
  /** The same for what else an external runtime takes from the host: volumes, devices, namespaces. */
  readonly mountsAttach: string;
  readonly netnsDir: string;
  /**
   * Six hexadecimal digits of the state path. Names of kernel objects outside root and state (pinned
   * namespaces, cgroups) carry them, so that daemons that run side by side never take each other's for
   * orphans.
   */
  readonly instance: string;
  /** Layers being unpacked: emptied at start-up. */
  readonly staging: string;
  /** Kept blobs by digest. */
  readonly blobs: string;
  blob(digest: Digest): string;
  /** One record per image: what is needed to know it again when the database is lost. */
  readonly imageRecords: string;
  imageRecord(id: ImageId): string;
  /** What was set aside because it could not be read. */
  readonly lost: string;
  /** Blobs that have come in part. */
  readonly partials: string;
  /** An unpacked layer, absolute: a directory, or an EROFS image in a regular file. */
  layer(number: number): string;
  /** Its tar record, beside it. */
  layerRecord(number: number): string;
  /** The same as `layer`, relative to `snapshots`. */
  layerRelative(number: number): string;
  /** A layer without anything in it, relative to `snapshots`. */
  readonly emptyLayerRelative: string;
  /** The root of an image volume without any layer, relative to `snapshots`. */
  readonly emptyRootRelative: string;
  /** A container's writable snapshot: directories "u" (upper) and "w" (work) below it. */
  snapshot(number: number): string;
  snapshotRelative(number: number): string;
  /** Volatile directory of a pod: exit records, resolv.conf, hostname, hosts. */
  podState(id: PodId): string;
  monitorSocket(id: PodId): string;
  /** Volatile directory of a container with a foreign runtime or hooks: config.json and what goes with it. */
  bundle(id: ContainerId): string;
  netns(id: PodId): string;
  /** Logs of pods that name no log directory (berth run). */
  podLogs(id: PodId): string;
}

export function makePaths(root: string, state: string, socket: string, netnsDir = "/run/netns"): Paths {
  const snapshots = join(root, "s");
  const instance = createHash("sha256").update(state).digest("hex").slice(0, 6);
  return {
    root,
    state,
    socket,
    database: join(root, "berth.db"),
    snapshots,
    rootAttach: join(state, "rootfs"),
    mountsAttach: join(state, "mounts"),
    netnsDir,
    instance,
    staging: join(snapshots, "staging"),
    blobs: join(root, "blobs"),
    blob: (digest) => join(root, "blobs", digest.replace(":", "/")),
    imageRecords: join(root, "images"),
    imageRecord: (id) => join(root, "images", `${id.replace("sha256:", "")}.json`),
    lost: join(root, "lost"),
    partials: join(root, "partials"),
    layer: (number) => join(snapshots, "l", number.toString(36)),
    layerRecord: (number) => join(snapshots, "r", number.toString(36)),
    layerRelative: (number) => `l/${number.toString(36)}`,
    emptyLayerRelative: "empty",
    emptyRootRelative: "void",
    snapshot: (number) => join(snapshots, "c", number.toString(36)),
    snapshotRelative: (number) => `c/${number.toString(36)}`,
    podState: (id) => join(state, "pods", id),
    // sun_path holds 107 bytes: 20 hexadecimal digits are enough to tell pods apart.
    monitorSocket: (id) => join(state, "m", id.slice(0, 20)),
    bundle: (id) => join(state, "o", id.slice(0, 20)),
    netns: (id) => join(netnsDir, `berth-${instance}-${id.slice(0, 32)}`),
    podLogs: (id) => join(root, "logs", id),
  };
}

/** Name of a pod's cgroup directory beneath its parent. */
export function podCgroupName(paths: Paths, id: PodId): string {
  return `berth-${paths.instance}-${id.slice(0, 32)}`;
}

/** Below a pod's cgroup: the monitor's leaf and one per container. */
export function monitorCgroup(podCgroup: string): string {
  return join(podCgroup, "monitor");
}
/** Beside the container's: where its foreign runtime and its hooks run. */
export function runtimeCgroup(containerCgroupPath: string): string {
  return join(dirname(containerCgroupPath), basename(containerCgroupPath).replace(/^c-/, "r-"));
}
export function containerCgroup(podCgroup: string, id: ContainerId): string {
  return join(podCgroup, `c-${id.slice(0, 32)}`);
}
