// Rows as a listing shows them, and the listings as bytes.

import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { listContainers } from "../containers/list-containers.ts";
import { ContainerSummary, ImageSummary } from "../gen/berth/v1/engine.ts";
import { listImages } from "../images/list-images.ts";
import { type EncodedList, encodeList, encodePiece } from "../lib/encode-list.ts";
import type { ListedContainer, MeasuredContainer } from "../types/container.ts";
import type { ListedImage } from "../types/image.ts";
import type { ListedPod } from "../types/pod.ts";
import type { EngineDeps } from "./deps.ts";
import { containerName } from "./names.ts";
import { podsById } from "./resolve.ts";

/** What the container's first process was given: its own command, or the image's (CRI ContainerConfig). */
export function argvOf(
  container: MeasuredContainer,
  image: Pick<ListedImage, "config"> | null | undefined,
): string[] {
  const { command, args } = container.config;
  if (command.length > 0) return [...command, ...args];
  const entrypoint = image?.config.entrypoint ?? [];
  return [...entrypoint, ...(args.length > 0 ? args : (image?.config.cmd ?? []))];
}

/** ListContainersResponse of every container, the youngest first. */
export async function containerSummaries(deps: EngineDeps): Promise<EncodedList> {
  const images = new Map((await listImages(deps)).map((image) => [image.id, image]));
  const pods = await podsById(deps);
  const youngestFirst = (await listContainers(deps)).sort((a, b) => b.createdAt - a.createdAt);
  return await encodeList(youngestFirst, (container) =>
    encodePiece(
      ContainerSummary,
      summary(container, pods.get(container.podId), images.get(container.imageId)),
    ),
  );
}

function summary(
  container: ListedContainer,
  pod: ListedPod | undefined,
  image: ListedImage | undefined,
): ContainerSummary {
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

/** ListImagesResponse of every image, the youngest first. */
export async function imageSummaries(deps: EngineDeps): Promise<EncodedList> {
  const dated = (await listImages(deps)).map((image) => ({ image, createdMs: createdAt(image) }));
  const youngestFirst = dated.sort((a, b) => b.createdMs - a.createdMs);
  return await encodeList(youngestFirst, ({ image, createdMs }) =>
    encodePiece(ImageSummary, {
      id: image.id,
      repoTags: [...image.repoTags],
      repoDigests: [...image.repoDigests],
      size: BigInt(image.size),
      createdMs: BigInt(createdMs),
      pulledAt: BigInt(image.pulledAt),
      artifactType: image.artifactType,
    }),
  );
}

/** Milliseconds since the epoch, or 0: the config's `created` is optional and written by anyone. */
function createdAt({ created }: ListedImage): number {
  const time = Date.parse(created);
  return Number.isFinite(time) ? time : 0;
}
