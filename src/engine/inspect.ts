// What is known of one object, in the shape that docker's users expect where it has such a field.

import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { containerStatus } from "../containers/container-status.ts";
import type { InspectRequest, InspectResponse } from "../gen/berth/v1/engine.ts";
import { artifactInfo } from "../images/artifact-info.ts";
import { resolveImage } from "../images/resolve-image.ts";
import { BerthError } from "../lib/errors.ts";
import { listPodSandbox } from "../pods/list-pod-sandbox.ts";
import { stateOfPod } from "../pods/pod-lifecycle.ts";
import { podSandboxStatus } from "../pods/pod-sandbox-status.ts";
import type { Container } from "../types/container.ts";
import type { Micros } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import type { Pod } from "../types/pod.ts";
import type { EngineDeps } from "./deps.ts";
import { containerName, pick, podName } from "./names.ts";
import { findContainer } from "./resolve.ts";
import { argvOf } from "./summaries.ts";

/** Docker's zero time: what its tools take as "never". */
const NEVER = "0001-01-01T00:00:00Z";

/**
 * One object as JSON: a container, a pod or an image, tried in this order when no type is given.
 *
 * @throws BerthError NOT_FOUND when nothing has that name; INVALID_ARGUMENT for an unknown type or a name
 *   that fits several objects
 */
export async function inspect(deps: EngineDeps, request: InspectRequest): Promise<InspectResponse> {
  const finders: Record<string, (name: string) => object | Promise<object>> = {
    container: (name) => inspectContainer(deps, name),
    pod: (name) => inspectPod(deps, name),
    image: (name) => inspectImage(deps, name),
  };
  const types = request.type === "" ? Object.keys(finders) : [request.type];
  for (const type of types) {
    const find = Object.hasOwn(finders, type) ? finders[type] : undefined;
    if (find === undefined) {
      throw new BerthError("INVALID_ARGUMENT", `inspect: type "${type}" is none of container, pod, image`);
    }
    try {
      return { json: JSON.stringify(await find(request.name)) };
    } catch (error) {
      const missing = error instanceof BerthError && error.code === "NOT_FOUND";
      if (!missing || request.type !== "") throw error;
    }
  }
  throw new BerthError("NOT_FOUND", `no such container, pod or image: "${request.name}"`);
}

function time(micros: Micros | null): string {
  return micros === null ? NEVER : new Date(micros / 1000).toISOString();
}

function textOfBytes(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

async function inspectContainer(deps: EngineDeps, wanted: string): Promise<object> {
  const found = await findContainer(deps, wanted);
  const container = containerStatus(deps, found.container.id);
  const pod = podSandboxStatus(deps, container.podId);
  const image = resolveImage(deps.store, container.imageId);
  const [path = "", ...args] = argvOf(container, image);
  return {
    Id: container.id,
    Name: containerName(container, pod),
    Created: time(container.createdAt),
    Path: path,
    Args: args,
    State: stateJson(container),
    Image: container.imageId,
    LogPath: container.logPath,
    Config: configJson(container, image),
    Mounts: container.config.mounts.map((mount) => ({
      Type: mount.image === undefined ? "bind" : "image",
      Source: mount.image?.image ?? mount.hostPath,
      Destination: mount.containerPath,
      RW: !mount.readonly,
      Propagation: mount.propagation,
    })),
    HostConfig: {
      Privileged: container.config.security.privileged,
      ReadonlyRootfs: container.config.security.readonlyRootfs,
      CapAdd: container.config.security.addCapabilities,
      CapDrop: container.config.security.dropCapabilities,
      Resources: container.config.resources ?? null,
    },
    NetworkSettings: {
      IPAddress: pod.network.ips[0] ?? "",
      IPs: pod.network.ips,
      Ports: pod.config.portMappings,
    },
    Annotations: container.config.annotations,
    Pod: podIdentity(pod),
    CgroupPath: container.cgroupPath,
    User: container.user,
  };
}

function stateJson(container: Container): object {
  const state = stateOfContainer(container);
  return {
    Status: state.toLowerCase(),
    Running: state === "RUNNING",
    Pid: state === "RUNNING" ? (container.process?.pid ?? 0) : 0,
    ExitCode: container.exitCode ?? 0,
    Signal: container.signal ?? 0,
    OOMKilled: container.oomKilled,
    Reason: container.reason,
    Error: container.message,
    StartedAt: time(container.startedAt),
    FinishedAt: time(container.finishedAt),
  };
}

function configJson(container: Container, image: Image | null): object {
  const { config } = container;
  const own = config.envs.map(({ name, value }) => textOfBytes(`${name}=${value}`));
  return {
    Image: container.imageRef,
    Entrypoint: config.command.length > 0 ? config.command : (image?.config.entrypoint ?? []),
    Cmd: config.args.length > 0 ? config.args : (image?.config.cmd ?? []),
    Env: [...(image?.config.env ?? []), ...own],
    WorkingDir: config.workingDir || (image?.config.workingDir ?? ""),
    User: config.security.runAsUsername || String(config.security.runAsUser ?? image?.config.user ?? ""),
    Tty: config.tty,
    OpenStdin: config.stdin,
    StdinOnce: config.stdinOnce,
    StopSignal: container.stopSignal,
    Labels: config.labels,
  };
}

function podIdentity(pod: Pod): object {
  return {
    Id: pod.id,
    Namespace: pod.config.metadata.namespace,
    Name: pod.config.metadata.name,
    Uid: pod.config.metadata.uid,
    Attempt: pod.config.metadata.attempt,
  };
}

async function inspectPod(deps: EngineDeps, wanted: string): Promise<object> {
  const { id } = pick("pod", await listPodSandbox(deps), podName, wanted);
  const pod = podSandboxStatus(deps, id);
  return {
    ...podIdentity(pod),
    State: stateOfPod(pod).toLowerCase(),
    Created: time(pod.createdAt),
    StoppedAt: time(pod.stoppedAt),
    Hostname: pod.config.hostname,
    Handler: pod.handler,
    Labels: pod.config.labels,
    Annotations: pod.config.annotations,
    Network: {
      Namespace: pod.netnsPath,
      IPs: pod.network.ips,
      Interfaces: pod.network.interfaces ?? [],
      Problem: pod.network.problem ?? "",
      Ports: pod.config.portMappings,
    },
    MonitorPid: pod.monitor?.pid ?? 0,
    CgroupPath: pod.cgroupPath,
    Config: pod.config,
  };
}

function inspectImage(deps: EngineDeps, wanted: string): object {
  const image = resolveImage(deps.store, wanted);
  if (image === null) throw new BerthError("NOT_FOUND", `no such image: "${wanted}"`);
  const common = {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    ManifestDigest: image.manifestDigest,
    PulledAt: time(image.pulledAt),
    Size: image.size,
    Pinned: image.pinned,
  };
  if (image.artifact !== null) {
    const { created, files, annotations } = artifactInfo(image.artifact, image.id);
    return {
      ...common,
      Created: created === "" ? NEVER : created,
      ArtifactType: image.artifact.type,
      Files: files.map(({ name, digest, size, mediaType }) => {
        return { Name: name, Digest: digest, Size: size, MediaType: mediaType };
      }),
      Annotations: annotations,
    };
  }
  const config = JSON.parse(image.configJson) as Record<string, unknown>;
  return {
    ...common,
    Created: config.created ?? NEVER,
    Architecture: image.architecture,
    Os: image.os,
    Config: config.config ?? {},
    RootFS: config.rootfs ?? {},
    History: config.history ?? [],
  };
}
