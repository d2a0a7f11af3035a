// What `berth run` asks of the daemon: a pod of one container, in the CRI's words.

import { constants } from "node:os";
import {
  ContainerConfig,
  type ContainerConfig as ContainerConfigType,
  MountPropagation,
  NamespaceMode,
  PodSandboxConfig,
  type PodSandboxConfig as PodSandboxConfigType,
  Protocol,
  Signal,
} from "../../gen/runtime/v1/api.ts";
import { readEnvironment, readPairs } from "../arguments/environment.ts";
import { readMount } from "../arguments/mounts.ts";
import type { Parsed } from "../arguments/options.ts";
import { readPort } from "../arguments/ports.ts";
import { readSignal } from "../arguments/quantities.ts";
import { readVolume } from "../arguments/volumes.ts";
import { UsageError } from "../errors.ts";
import { resources } from "./run-resources.ts";
import { security } from "./run-security.ts";

export interface RunSurroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
  /** Unique: part of the pod's identity. */
  readonly uid: string;
}

export interface RunConfig {
  readonly pod: PodSandboxConfigType;
  readonly container: ContainerConfigType;
}

/**
 * The configs of `berth run` by its options and arguments (image, command...).
 *
 * @throws UsageError naming the option that is wrong
 */
export function runConfig(parsed: Parsed, name: string, surroundings: RunSurroundings): RunConfig {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(name)) {
    throw new UsageError(
      `invalid container name "${name}": letters, digits, "_", "." and "-", at most 128`,
      125,
    );
  }
  const labels = { ...readPairs("label", parsed.list("label")), "berth.name": name };
  const annotations = readPairs("annotation", parsed.list("annotation"));
  return {
    pod: podConfig(parsed, { name, labels, annotations, uid: surroundings.uid }),
    container: containerConfig(parsed, { name, labels, annotations, surroundings }),
  };
}

interface Identity {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
}

function podConfig(parsed: Parsed, { name, labels, annotations, uid }: Identity & { uid: string }) {
  const network = networkOf(parsed);
  const onHost = network === "host";
  const ports = publishedPorts(parsed, network);
  const dns = {
    servers: [...parsed.list("dns")],
    searches: [...parsed.list("dns-search")],
    options: [...parsed.list("dns-option")],
  };
  return PodSandboxConfig.fromPartial({
    metadata: { name, uid, namespace: "berth", attempt: 0 },
    ...(onHost ? {} : { hostname: parsed.text("hostname") ?? hostnameOf(name) }),
    portMappings: ports.map((port) => ({
      ...port,
      protocol: { tcp: Protocol.TCP, udp: Protocol.UDP, sctp: Protocol.SCTP }[port.protocol],
    })),
    ...(Object.values(dns).some((list) => list.length > 0) ? { dnsConfig: dns } : {}),
    labels,
    annotations: {
      ...annotations,
      ...(parsed.flag("rm") ? { "berth.auto-remove": "true" } : {}),
      ...(network === "none" ? { "berth.network": "none" } : {}),
    },
    linux: {
      cgroupParent: parsed.text("cgroup-parent") ?? "",
      sysctls: readPairs("sysctl", parsed.list("sysctl")),
      securityContext: {
        namespaceOptions: namespaces(parsed),
        privileged: parsed.flag("privileged"),
        seccomp: security(parsed).seccomp,
      },
    },
  });
}

/** A name as a host may have it: no underscores, at most 63 letters. */
function hostnameOf(name: string): string {
  return name
    .replace(/[^a-zA-Z0-9-]/g, "-")
    .slice(0, 63)
    .replace(/-+$/, "");
}

type Network = "bridge" | "host" | "none";

function networkOf(parsed: Parsed): Network {
  const network = parsed.text("network") ?? parsed.text("net") ?? "bridge";
  if (network === "default") return "bridge";
  if (network === "bridge" || network === "host" || network === "none") return network;
  throw new UsageError(
    `invalid value "${network}" for --network: there are "bridge", "host" and "none"`,
    125,
  );
}

function publishedPorts(parsed: Parsed, network: Network) {
  const ports = parsed.list("publish").flatMap(readPort);
  if (network === "bridge" || ports.length === 0) return ports;
  const why =
    network === "host" ? "the container's ports are the host's" : "nothing outside reaches the container";
  throw new UsageError(`--publish does nothing with --network ${network}: ${why}`, 125);
}

/** The namespaces that the pod and its container share with the host. */
function namespaces(parsed: Parsed) {
  const hostOnly = (flag: string) => {
    const value = parsed.text(flag) ?? "";
    if (value !== "" && value !== "host" && value !== "private") {
      throw new UsageError(`invalid value "${value}" for --${flag}: there are "host" and "private"`, 125);
    }
    return value === "host";
  };
  return {
    network: networkOf(parsed) === "host" ? NamespaceMode.NODE : NamespaceMode.POD,
    pid: hostOnly("pid") ? NamespaceMode.NODE : NamespaceMode.CONTAINER,
    ipc: hostOnly("ipc") ? NamespaceMode.NODE : NamespaceMode.POD,
    ...(mapsUsers(parsed) ? { usernsOptions: { mode: NamespaceMode.POD } } : {}),
  };
}

/** Whether the container gets a user namespace, whose ids the daemon chooses. */
function mapsUsers(parsed: Parsed): boolean {
  const value = parsed.text("userns") ?? "host";
  if (value === "host" || value === "auto") return value === "auto";
  throw new UsageError(`invalid value "${value}" for --userns: there are "host" and "auto"`, 125);
}

function containerConfig(
  parsed: Parsed,
  { name, labels, annotations, surroundings }: Identity & { surroundings: RunSurroundings },
) {
  const [image = ""] = parsed.positional;
  const tty = parsed.flag("tty");
  const stdin = parsed.flag("interactive");
  const envs = readEnvironment(parsed.list("env-file"), parsed.list("env"), surroundings.env);
  if (tty && !envs.some((variable) => variable.name === "TERM"))
    envs.unshift({ name: "TERM", value: "xterm" });
  return ContainerConfig.fromPartial({
    metadata: { name, attempt: 0 },
    image: { image, userSpecifiedImage: image },
    ...commandOf(parsed),
    workingDir: workdirOf(parsed),
    envs: envs.map(({ name: key, value }) => ({ key, value: Buffer.from(value) })),
    mounts: mountsOf(parsed, surroundings.directory),
    devices: parsed.list("device").map(readDevice),
    labels,
    annotations,
    logPath: "container.log",
    stdin,
    // With a client that waits, the end of its input is the end of the container's.
    stdinOnce: stdin && !parsed.flag("detach"),
    tty,
    stopSignal: stopSignalOf(parsed),
    linux: {
      resources: resources(parsed),
      // The user namespace is the pod's: only the daemon knows its ids.
      securityContext: {
        ...security(parsed),
        namespaceOptions: { ...namespaces(parsed), usernsOptions: undefined },
      },
    },
  });
}

function commandOf(parsed: Parsed): { command: string[]; args: string[] } {
  const args = parsed.positional.slice(1);
  const entrypoint = parsed.text("entrypoint");
  if (entrypoint === undefined) return { command: [], args };
  if (entrypoint !== "") return { command: [entrypoint], args };
  if (args.length === 0) {
    throw new UsageError(
      '--entrypoint "" drops the image\'s entrypoint: name a command after the image',
      125,
    );
  }
  return { command: args, args: [] };
}

function workdirOf(parsed: Parsed): string {
  const directory = parsed.text("workdir") ?? "";
  if (directory !== "" && !directory.startsWith("/")) {
    throw new UsageError(`invalid value "${directory}" for --workdir: it must begin with "/"`, 125);
  }
  return directory;
}

function mountsOf(parsed: Parsed, directory: string) {
  const propagations = {
    private: MountPropagation.PROPAGATION_PRIVATE,
    rslave: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
    rshared: MountPropagation.PROPAGATION_BIDIRECTIONAL,
  };
  const mounts = parsed.list("mount").map((text) => readMount(text, directory));
  const volumes = parsed.list("volume").map((text) => readVolume(text, directory));
  return [...volumes, ...mounts].map((mount) => {
    const { containerPath } = mount;
    if ("image" in mount) {
      const image = { image: mount.image, userSpecifiedImage: mount.image };
      return { image, imageSubPath: mount.subPath, containerPath, readonly: true };
    }
    const { hostPath, readonly, relabel, propagation } = mount;
    return {
      hostPath,
      containerPath,
      readonly,
      selinuxRelabel: relabel,
      propagation: propagations[propagation],
    };
  });
}

function readDevice(text: string) {
  const [hostPath = "", second = hostPath, third] = text.split(":");
  const onlyPermissions = third === undefined && /^[rwm]{1,3}$/.test(second);
  const permissions = onlyPermissions ? second : (third ?? "rwm");
  const containerPath = onlyPermissions ? hostPath : second;
  if (!hostPath.startsWith("/") || !containerPath.startsWith("/") || !/^[rwm]{1,3}$/.test(permissions)) {
    throw new UsageError(
      `invalid value "${text}" for --device: expected /dev/host[:/dev/container[:rwm]]`,
      125,
    );
  }
  return { hostPath, containerPath, permissions };
}

const REALTIME_MIN = 34;
const REALTIME_MAX = 64;

/** The CRI numbers signals by the order of their names. */
function stopSignalOf(parsed: Parsed): Signal {
  const text = parsed.text("stop-signal");
  if (text === undefined) return Signal.SIGNAL_RUNTIME_DEFAULT;
  const number = readSignal("stop-signal", text);
  const above = number - REALTIME_MIN;
  const below = REALTIME_MAX - number;
  const name =
    above < 0
      ? Object.entries(constants.signals).find(([, value]) => value === number)?.[0]
      : above <= 15
        ? `SIGRTMIN${above === 0 ? "" : `PLUS${above}`}`
        : `SIGRTMAX${below === 0 ? "" : `MINUS${below}`}`;
  const value = (Signal as Record<string, number>)[`SIGNAL_${name}`];
  if (value === undefined)
    throw new UsageError(`invalid value "${text}" for --stop-signal: no such signal`, 125);
  return value as Signal;
}
