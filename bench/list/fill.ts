// Rows of ended containers as a kubelet leaves them: with its labels and annotations, variables and volumes.

import {
  commitContainerExited,
  commitContainerPrepared,
  commitContainerStarted,
  insertContainer,
} from "../../src/store/containers.ts";
import type { Store } from "../../src/store/open.ts";
import { commitPodReady, commitPodReleased, insertPod, markPodStopped } from "../../src/store/pods.ts";
import type { ContainerConfig, ContainerSecurity } from "../../src/types/container.ts";
import type { PodConfig } from "../../src/types/pod.ts";

const map = (count: number, name: string, length: number) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`io.kubernetes.${name}/${i}`, "x".repeat(length)]),
  );
const labels = map(6, "label", 30);
const annotations = map(8, "annotation", 60);
const envs = Array.from({ length: 30 }, (_, i) => ({ name: `SERVICE_${i}`, value: "tcp://10.0.0.1:443" }));
const user = { uid: 0, gid: 0, groups: [0] };

const security: ContainerSecurity = {
  addCapabilities: [],
  dropCapabilities: [],
  ambientCapabilities: [],
  privileged: false,
  runAsUsername: "",
  readonlyRootfs: false,
  supplementalGroups: [],
  supplementalGroupsPolicy: "Merge",
  noNewPrivs: false,
  maskedPaths: Array<string>(12).fill("/proc/asound"),
  readonlyPaths: Array<string>(6).fill("/proc/bus"),
};

function podConfig(name: string): PodConfig {
  return {
    metadata: { name, uid: `uid-${name}`, namespace: "bench", attempt: 0 },
    hostname: name,
    logDirectory: "",
    portMappings: [],
    labels,
    annotations,
    cgroupParent: "",
    security: {
      namespaces: { network: "POD", pid: "POD", ipc: "POD", targetId: "" },
      readonlyRootfs: false,
      supplementalGroups: [],
      supplementalGroupsPolicy: "Merge",
      privileged: false,
    },
    sysctls: {},
  };
}

const mount: ContainerConfig["mounts"][number] = {
  containerPath: "/var/run/secrets/kubernetes.io/serviceaccount",
  hostPath: "/var/lib/kubelet/pods/volume",
  readonly: true,
  selinuxRelabel: false,
  propagation: "PRIVATE",
  uidMappings: [],
  gidMappings: [],
  recursiveReadOnly: false,
  imageSubPath: "",
  mountOptions: [],
};

const IMAGE = `sha256:${"a".repeat(64)}`;

const containerConfig: ContainerConfig = {
  metadata: { name: "c", attempt: 0 },
  image: {
    image: IMAGE,
    annotations: {},
    userSpecifiedImage: "registry.example/app:1",
    runtimeHandler: "",
    imageRef: "",
  },
  command: [],
  args: [],
  workingDir: "",
  envs,
  mounts: Array<typeof mount>(6).fill(mount),
  devices: [],
  cdiDevices: [],
  labels,
  annotations,
  logPath: "c/0.log",
  stdin: false,
  stdinOnce: false,
  tty: false,
  stopSignal: 0,
  security,
};

/** So many pods that are stopped, each with one container that has exited. */
export function fill(store: Store, count: number): void {
  store.transaction(() => {
    for (let n = 1; n <= count; n++) addOne(store, n);
  })();
}

function addOne(store: Store, n: number): void {
  const at = Date.now() * 1000 + n;
  const id = (kind: string) => `${kind}${n.toString(16).padStart(63, "0")}`;
  const [podId, containerId] = [id("a"), id("c")];
  const config = podConfig(`pod-${n}`);
  const places = { netnsPath: "", cgroupPath: "/nowhere", bootId: "bench" };
  insertPod(store, { id: podId, config, handler: "", createdAt: at, ...places });
  const monitor = { pid: 1, startTime: 1 };
  commitPodReady(store, podId, { readyAt: at, monitor, network: { ips: ["10.0.0.1"] } });
  const execTemplate = {
    env: envs.map(({ name, value }) => `${name}=${value}`),
    workingDir: "/",
    user,
    privileged: false,
    security,
  };
  insertContainer(store, {
    id: containerId,
    podId,
    config: containerConfig,
    imageId: IMAGE,
    imageRef: IMAGE,
    createdAt: at,
    cgroupPath: "/nowhere",
    logPath: "",
    runtime: null,
    stopSignal: 15,
    user,
    execTemplate,
  });
  commitContainerPrepared(store, containerId, { preparedAt: at, process: monitor, user, execTemplate });
  commitContainerStarted(store, containerId, at);
  const exit = { finishedAt: at, exitCode: 0, signal: 0, oomKilled: false };
  commitContainerExited(store, containerId, { ...exit, reason: "Completed", message: "" });
  markPodStopped(store, podId, at);
  commitPodReleased(store, podId);
}
