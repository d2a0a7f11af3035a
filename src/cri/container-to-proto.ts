// Containers as the CRI shows them.

import { stateOfContainer } from "../containers/container-lifecycle.ts";
import type * as proto from "../gen/runtime/v1/api.ts";
import type { Container, ContainerMount, ImageRequest, ListedContainer } from "../types/container.ts";
import type { ImageId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import type { LinuxResources } from "../types/pod.ts";
import { containerStates, enumNumber, propagations } from "./enums.ts";
import { idMappingsToProto, nanoseconds } from "./pod-to-proto.ts";
import { signalToProto } from "./signals.ts";

/** Finds an image by its id; null when it is not here any more. */
export type ImageLookup = (id: ImageId) => Image | null;

/** Asks `lookup` once per image, however many containers use it. */
export function rememberImages(lookup: ImageLookup): ImageLookup {
  const known = new Map<ImageId, Image | null>();
  return (id) => {
    const image = known.get(id);
    if (image !== undefined) return image;
    const found = lookup(id);
    known.set(id, found);
    return found;
  };
}

export function containerToProto(container: ListedContainer): proto.Container {
  return {
    id: container.id,
    podSandboxId: container.podId,
    metadata: { ...container.config.metadata },
    image: shownImage(container),
    imageRef: digestReference(container),
    state: enumNumber(containerStates, stateOfContainer(container)),
    createdAt: nanoseconds(container.createdAt),
    labels: { ...container.config.labels },
    annotations: { ...container.config.annotations },
    imageId: container.imageId,
  };
}

export function containerStatusToProto(container: Container, lookup: ImageLookup): proto.ContainerStatus {
  const image = lookup(container.imageId);
  const imageNames = { tag: image?.repoTags[0] ?? null, digest: image?.repoDigests[0] ?? null };
  const { podSandboxId: _pod, ...listed } = containerToProto({ ...container, imageNames });
  const { resources } = container.config;
  return {
    ...listed,
    startedAt: nanoseconds(container.startedAt),
    finishedAt: nanoseconds(container.finishedAt),
    exitCode: container.exitCode ?? 0,
    reason: container.reason,
    message: container.message,
    mounts: container.config.mounts.map(mountToProto),
    logPath: container.logPath,
    resources:
      resources === undefined ? undefined : { linux: resourcesToProto(resources), windows: undefined },
    user: {
      linux: {
        uid: BigInt(container.user.uid),
        gid: BigInt(container.user.gid),
        supplementalGroups: container.user.groups.map(BigInt),
      },
    },
    stopSignal: signalToProto(container.stopSignal),
  };
}

/**
 * The image as it was asked for. The kubelet asks by id and tells the user's wording beside it: people
 * are shown a reference rather than the id, as far as one is known.
 */
function shownImage(container: ListedContainer): proto.ImageSpec {
  const asked = imageRequestToProto(container.config.image);
  const isId =
    container.imageRef === container.imageId || `sha256:${container.imageRef}` === container.imageId;
  if (!isId) return { ...asked, image: container.imageRef };
  const { tag, digest } = container.imageNames;
  const reference = asked.userSpecifiedImage || tag || digest;
  return { ...asked, image: reference ?? container.imageId };
}

/** "registry/repository@sha256:…", or the image's id when it has no such reference or is gone. */
function digestReference({ imageNames, imageId }: ListedContainer): string {
  return imageNames.digest ?? imageId;
}

function imageRequestToProto(image: ImageRequest): proto.ImageSpec {
  return { ...image, annotations: { ...image.annotations } };
}

/** As requested: clients compare them with what they sent. */
export function mountToProto(mount: ContainerMount): proto.Mount {
  return {
    containerPath: mount.containerPath,
    hostPath: mount.hostPath,
    readonly: mount.readonly,
    selinuxRelabel: mount.selinuxRelabel,
    propagation: enumNumber(propagations, mount.propagation),
    uidMappings: idMappingsToProto(mount.uidMappings),
    gidMappings: idMappingsToProto(mount.gidMappings),
    recursiveReadOnly: mount.recursiveReadOnly,
    image: mount.image === undefined ? undefined : imageRequestToProto(mount.image),
    imageSubPath: mount.imageSubPath,
    mountOptions: [...mount.mountOptions],
  };
}

export function resourcesToProto(resources: LinuxResources): proto.LinuxContainerResources {
  return {
    cpuPeriod: BigInt(resources.cpuPeriod),
    cpuQuota: BigInt(resources.cpuQuota),
    cpuShares: BigInt(resources.cpuShares),
    memoryLimitInBytes: BigInt(resources.memoryLimitBytes),
    oomScoreAdj: BigInt(resources.oomScoreAdj),
    cpusetCpus: resources.cpusetCpus,
    cpusetMems: resources.cpusetMems,
    hugepageLimits: resources.hugepageLimits.map(({ pageSize, limit }) => ({
      pageSize,
      limit: BigInt(limit),
    })),
    unified: { ...resources.unified },
    memorySwapLimitInBytes: BigInt(resources.memorySwapLimitBytes),
  };
}
