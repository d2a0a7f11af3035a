// Rows as a listing shows them.

import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { containersInFull } from "../containers/containers-in-full.ts";
import type { ContainerSummary, ImageSummary } from "../gen/berth/v1/engine.ts";
import { listImages } from "../images/list-images.ts";
import type { Container } from "../types/container.ts";
import type { Image } from "../types/image.ts";
import type { Pod } from "../types/pod.ts";
import type { EngineDeps } from "./deps.ts";
import { containerName } from "./names.ts";
import { podsById } from "./resolve.ts";

/** What the container's first process was given: its own command, or the image's (CRI ContainerConfig). */
export function argvOf(container: Container, image: Image | undefined): string[] {
  const { command, args } = container.config;
  if (command.length > 0) return [...command, ...args];
  const entrypoint = image?.config.entrypoint ?? [];
  return [...entrypoint, ...(args.length > 0 ? args : (image?.config.cmd ?? []))];
}

/** Every container, the youngest first. */
export function containerSummaries(deps: EngineDeps): ContainerSummary[] {
  const pods = podsById(deps);
  const images = new Map(listImages(deps).map((image) => [image.id, image]));
  return containersInFull(deps, {})
    .map((container) => summary(container, pods.get(container.podId), images.get(container.imageId)))
    .sort((a, b) => Number(b.createdAt - a.createdAt));
}

function summary(container: Container, pod: Pod | undefined, image: Image | undefined): ContainerSummary {
  const running = stateOfContainer(container) === "RUNNING";
  const mappings = pod?.config.portMappings ?? [];
  return {
    id: container.id,
    podId: container.podId,
    name: containerName(container, pod),
    image: container.config.image.userSpecifiedImage || container.imageRef,
    imageId: container.imageId,
    command: argvOf(container, image),
    state: stateOfContainer(container).toLowerCase(),
    createdAt: BigInt(container.createdAt),
    startedAt: BigInt(container.startedAt ?? 0),
    finishedAt: BigInt(container.finishedAt ?? 0),
    exitCode: container.exitCode ?? 0,
    oomKilled: container.oomKilled,
    // Ports are the pod's and exist as long as it runs.
    ports: running
      ? mappings.map(({ protocol, containerPort, hostPort, hostIp }) => ({
          protocol: protocol.toLowerCase(),
          containerPort,
          hostPort,
          hostIp,
        }))
      : [],
    labels: { ...container.config.labels },
    podNamespace: pod?.config.metadata.namespace ?? "",
    podName: pod?.config.metadata.name ?? "",
    podUid: pod?.config.metadata.uid ?? "",
    ips: [...(pod?.network.ips ?? [])],
  };
}

/** Every image, the youngest first. */
export function imageSummaries(deps: EngineDeps): ImageSummary[] {
  return listImages(deps)
    .map((image) => ({
      id: image.id,
      repoTags: [...image.repoTags],
      repoDigests: [...image.repoDigests],
      size: BigInt(image.size),
      createdMs: BigInt(createdAt(image)),
      pulledAt: BigInt(image.pulledAt),
    }))
    .sort((a, b) => Number(b.createdMs - a.createdMs));
}

/** Milliseconds since the epoch, or 0: the config's `created` is optional and written by anyone. */
function createdAt(image: Image): number {
  const config: unknown = JSON.parse(image.configJson);
  const created = (config as { created?: unknown } | null)?.created;
  const time = typeof created === "string" ? Date.parse(created) : Number.NaN;
  return Number.isFinite(time) ? time : 0;
}
