// Configurations that every handler must turn into the same container.

import {
  MountPropagation,
  NamespaceMode,
  SecurityProfile_ProfileType,
} from "../../../src/gen/runtime/v1/api.ts";
import type { Stage } from "../support/stage.ts";

type PodChanges = NonNullable<Parameters<Stage["runPod"]>[1]>;
type ContainerChanges = NonNullable<Parameters<Stage["create"]>[4]>;

export interface OracleCase {
  readonly pod?: PodChanges;
  readonly container?: ContainerChanges;
}

type Security = NonNullable<NonNullable<ContainerChanges["linux"]>["securityContext"]>;

const { POD, NODE, CONTAINER } = NamespaceMode;
const secured = (securityContext: Security): OracleCase => ({ container: { linux: { securityContext } } });
const capabilities = (change: NonNullable<Security["capabilities"]>) => secured({ capabilities: change });
const namespaces = (namespaceOptions: {
  network?: NamespaceMode;
  pid?: NamespaceMode;
  ipc?: NamespaceMode;
}) => ({
  pod: { linux: { securityContext: { namespaceOptions } } },
  container: { linux: { securityContext: { namespaceOptions } } },
});
const profile = (profileType: SecurityProfile_ProfileType) => secured({ seccomp: { profileType } });
const volume = (changes: object): OracleCase => ({
  container: { mounts: [{ containerPath: "/v/deep", hostPath: "/usr/share", ...changes }] },
});

const RANGE = [{ containerId: 0, hostId: 800_000, length: 65_536 }];
const MAPPING = { uidMappings: RANGE, gidMappings: RANGE };
/** In a pod with a user namespace. */
const mapped = (container: ContainerChanges = {}, more: object = {}, security: Security = {}): OracleCase => {
  const namespaceOptions = { usernsOptions: { mode: POD, uids: RANGE, gids: RANGE }, ...more };
  return {
    pod: { linux: { securityContext: { namespaceOptions } } },
    container: { ...container, linux: { securityContext: { ...security, namespaceOptions } } },
  };
};

const PRIVILEGED = {
  pod: { linux: { securityContext: { privileged: true } } },
  container: { linux: { securityContext: { privileged: true } } },
};

/** A shared mount that the test makes. */
export const SHARED = `/tmp/berth-oracle-${process.pid}`;

/** By name. `hostPath`s are of any Debian. */
export const CASES: Readonly<Record<string, OracleCase>> = {
  default: {},
  privileged: PRIVILEGED,
  "capabilities added": capabilities({ addCapabilities: ["NET_ADMIN", "SYS_TIME"] }),
  "capabilities dropped": capabilities({ dropCapabilities: ["CHOWN", "KILL"] }),
  "all capabilities dropped, one added": capabilities({
    dropCapabilities: ["ALL"],
    addCapabilities: ["NET_BIND_SERVICE"],
  }),
  "all capabilities added": capabilities({ addCapabilities: ["ALL"] }),
  "ambient capabilities of a user": secured({
    runAsUser: { value: 1000n },
    capabilities: { addAmbientCapabilities: ["NET_RAW"] },
  }),
  user: secured({ runAsUser: { value: 1000n } }),
  "user and group": secured({ runAsUser: { value: 1000n }, runAsGroup: { value: 2000n } }),
  "supplementary groups": secured({ runAsUser: { value: 1000n }, supplementalGroups: [50_000n, 60_000n] }),
  "no new privileges": secured({ noNewPrivs: true }),
  "read-only root": secured({ readonlyRootfs: true }),
  "masked paths": secured({ maskedPaths: ["/proc/version", "/proc/tty", "/not/there"] }),
  "read-only paths": secured({ readonlyPaths: ["/proc/tty", "/dev", "/not/there"] }),
  "seccomp of the runtime": profile(SecurityProfile_ProfileType.RuntimeDefault),
  "no seccomp": profile(SecurityProfile_ProfileType.Unconfined),
  "seccomp without new privileges": secured({
    noNewPrivs: true,
    seccomp: { profileType: SecurityProfile_ProfileType.RuntimeDefault },
  }),
  environment: {
    container: {
      envs: [
        { key: "B", value: Buffer.from("ü = 1") },
        { key: "PATH", value: Buffer.from("/") },
      ],
    },
  },
  "working directory": { container: { workingDir: "/made/up" } },
  terminal: { container: { tty: true } },
  "standard input": { container: { stdin: true } },
  devices: {
    container: { devices: [{ containerPath: "/dev/mine", hostPath: "/dev/null", permissions: "rw" }] },
  },
  volume: volume({}),
  "read-only volume": volume({ readonly: true }),
  "volume that follows the host": volume({
    hostPath: SHARED,
    propagation: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
  }),
  "volume that both follow": {
    ...PRIVILEGED,
    container: {
      ...PRIVILEGED.container,
      mounts: [
        { containerPath: "/v", hostPath: SHARED, propagation: MountPropagation.PROPAGATION_BIDIRECTIONAL },
      ],
    },
  },
  "volume with options": volume({ mountOptions: ["noexec", "nosuid", "nodev"] }),
  "file as a volume": {
    container: { mounts: [{ containerPath: "/v/file", hostPath: "/etc/hostname", readonly: true }] },
  },
  "raised OOM score": { container: { linux: { resources: { oomScoreAdj: 500n } } } },
  sysctls: {
    pod: {
      linux: { sysctls: { "kernel.shm_rmid_forced": "1", "net.ipv4.ip_local_port_range": "2000 3000" } },
    },
  },
  "host name": { pod: { hostname: "oracle" } },
  "namespaces of the host": namespaces({ network: NODE, pid: NODE, ipc: NODE }),
  "a PID namespace of its own": namespaces({ network: POD, pid: CONTAINER, ipc: POD }),
  "the host's network": namespaces({ network: NODE, pid: POD, ipc: POD }),
  "a user namespace": mapped(),
  "a user namespace, a user": mapped({}, {}, { runAsUser: { value: 1000n }, runAsGroup: { value: 2000n } }),
  "a user namespace, a terminal": mapped({ tty: true }),
  "a user namespace, a read-only root": mapped({}, {}, { readonlyRootfs: true }),
  "a user namespace, all capabilities": mapped({}, {}, { capabilities: { addCapabilities: ["ALL"] } }),
  "a user namespace, namespaces of the host": mapped({}, { network: NODE, pid: NODE, ipc: NODE }),
  "a user namespace, volumes": mapped({
    mounts: [
      { containerPath: "/v/mapped", hostPath: "/usr/share", readonly: true, ...MAPPING },
      { containerPath: "/v/plain", hostPath: SHARED, mountOptions: ["noexec"] },
    ],
    devices: [{ containerPath: "/dev/mine", hostPath: "/dev/full", permissions: "rw" }],
  }),
};
