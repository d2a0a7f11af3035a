// Plans whose bytes are kept as vectors, and one step of each kind.

import { buildContainerPlan } from "../../../src/spec/build-container-plan.ts";
import { buildExecPlan } from "../../../src/spec/build-exec-plan.ts";
import { buildPodPlan } from "../../../src/spec/build-pod-plan.ts";
import { makeExecTemplate } from "../../../src/spec/exec-template.ts";
import type { Plan, PlanStep } from "../../../src/types/plan.ts";
import {
  containerConfig,
  HOST,
  MAPPED,
  MAPPING,
  NAMESPACES,
  planInput,
  podConfig,
  volume,
} from "./fixture.ts";

/** RET ALLOW: the smallest filter there is. */
const ALLOW_ALL = new Uint8Array([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]);

export const EVERY_STEP: readonly PlanStep[] = [
  { op: "join-netns", path: "/run/netns/berth-1" },
  { op: "unshare", flags: 0x0c00_0000 },
  { op: "set-hostname", hostname: "web" },
  { op: "sysctl", key: "net/ipv4/ip_forward", value: "1" },
  { op: "create-shm", sizeBytes: 67_108_864, uid: 100_000, gid: 200_000 },
  { op: "pod-init", nobody: 65_534 },
  { op: "mount-propagation", flags: 0x8_4000 },
  {
    op: "open-tree",
    slot: 1,
    source: "/host/data",
    recursive: true,
    idMap: { uidMap: "0 100000 65536", gidMap: "0 200000 65536" },
    requiredPropagation: 0x8_0000,
  },
  { op: "open-shm", slot: 0 },
  {
    op: "overlay-root",
    base: "/var/lib/berth/s",
    lowers: ["l/2", "l/1"],
    upper: "c/7/u",
    work: "c/7/w",
    attachAt: "/run/berth/rootfs",
    volatile: true,
    allowDevices: false,
    forceLegacy: false,
  },
  {
    op: "mount",
    fstype: "tmpfs",
    source: "tmpfs",
    target: "/dev",
    attributes: 0x22,
    options: ["mode=755", "size=65536k"],
    createTarget: true,
  },
  {
    op: "attach-tree",
    slot: 1,
    target: "/data",
    setAttributes: 1,
    clearAttributes: 8,
    propagation: 0x4_0000,
    recursiveAttributes: true,
    createTarget: true,
  },
  {
    op: "make-node",
    target: "/dev/null",
    mode: 0o20666,
    major: 1,
    minor: 3,
    uid: 0,
    gid: 0,
    setOwner: true,
  },
  { op: "symlink", content: "/proc/self/fd", target: "/dev/fd" },
  { op: "make-dir", target: "/srv", mode: 0o755, uid: 1000, gid: 1001 },
  { op: "mask", target: "/proc/kcore" },
  { op: "readonly-path", target: "/proc/sys" },
  { op: "root-readonly" },
  { op: "console", rows: 24, columns: 80 },
  { op: "pivot-root" },
  { op: "join", flags: 0x0202_0000 },
  { op: "oom-score", value: -997, clamp: true },
  { op: "rlimit", resource: 4, soft: 0, hard: -1, clamp: true },
  { op: "session-keyring" },
  { op: "cap-bounding", mask: 0xa804_25fbn },
  { op: "set-groups", groups: [0, 1000, 50_000] },
  { op: "set-user", uid: 1000, gid: 1001 },
  { op: "cap-set", effective: 1n, permitted: 3n, inheritable: 2n ** 40n },
  { op: "cap-ambient", mask: 0x400n },
  { op: "no-new-privs" },
  { op: "seccomp", program: ALLOW_ALL, flags: 0 },
  { op: "umask", mask: 0o022 },
  { op: "chdir", directory: "/srv" },
  { op: "exec-attribute", file: "exec", value: "exec profile" },
  { op: "ready" },
  { op: "exec", argv: ["sh", "-c", "echo ü"], env: ["PATH=/bin", "BYTES=\xff\xfe"], path: "/bin" },
  { op: "pause" },
  { op: "join-path", path: "/proc/1/ns/net", flags: 0x4000_0000 },
  { op: "host-root" },
  { op: "user-namespace", netnsPath: "", uidMap: "0 100000 65536", gidMap: "0 200000 65536" },
  { op: "enter-user-namespace" },
  { op: "take-mounts", rootOpen: true },
  { op: "become-root" },
  { op: "own-stdio", uid: 101_000, gid: 201_000 },
  { op: "map-snapshots", base: "/var/lib/berth/s" },
  { op: "file-ids", uid: 100_000, gid: 200_000 },
  {
    op: "image-tree",
    slot: 2,
    base: "/var/lib/berth/s",
    lowers: ["l/3", "empty"],
    attachAt: "/run/berth/rootfs",
    subPath: "etc",
    forceLegacy: true,
  },
  { op: "delegate-cgroup", target: "/sys/fs/cgroup", uid: 100_000, gid: 200_000 },
  { op: "share-group", slot: 3, target: "/shared" },
  { op: "mount-label", label: "system_u:object_r:container_file_t:s0:c1,c2" },
  { op: "open-user-namespace", slot: 4 },
  { op: "host-directory", path: "/run/berth/mounts" },
  { op: "lock-mounts" },
];

const pod = podConfig(
  { namespaces: { ...NAMESPACES, pid: "POD" } },
  { sysctls: { "kernel.sem": "1 2 3 4" } },
);
const container = planInput({
  pod,
  container: containerConfig({
    tty: true,
    mounts: [volume("/data", { readonly: true }), volume("/shared", { propagation: "BIDIRECTIONAL" })],
    envs: [{ name: "BYTES", value: "\xff" }],
  }),
  user: { uid: 1000, gid: 1000, groups: [1000, 50_000], home: "/home/web" },
  seccomp: ALLOW_ALL,
});

export const VECTORS: Readonly<Record<string, Plan>> = {
  "every-step": { cloneFlags: 0, pidNamespace: "own", steps: EVERY_STEP },
  pod: buildPodPlan({ config: pod, netnsPath: "/run/netns/berth-1" }),
  container: buildContainerPlan(container),
  "container-mapped": buildContainerPlan({
    ...container,
    pod: podConfig({ namespaces: MAPPED }),
    container: containerConfig({
      tty: true,
      mounts: [volume("/data", { uidMappings: MAPPING.uids, gidMappings: MAPPING.gids })],
    }),
  }),
  exec: buildExecPlan({
    template: makeExecTemplate(container),
    argv: ["ls", "-l"],
    host: HOST,
    seccomp: ALLOW_ALL,
    console: { rows: 24, columns: 80 },
  }),
};
