// Images and their file systems as the CRI shows them.

import type * as proto from "../gen/runtime/v1/api.ts";
import type { FilesystemUsage, Image, ListedImage } from "../types/image.ts";
import { nanoseconds } from "./pod-to-proto.ts";

/** In the annotations of an image's ImageSpec: the artifact's type. */
const artifactTypeKey = "io.berth.artifact-type";

export function imageToProto(image: Image | ListedImage): proto.Image {
  const artifactType = "artifact" in image ? (image.artifact?.type ?? "") : image.artifactType;
  return {
    id: image.id,
    repoTags: [...image.repoTags],
    repoDigests: [...image.repoDigests],
    size: BigInt(image.size),
    ...imageUser(image.config.user),
    spec: artifactType === "" ? undefined : specOf(image.id, artifactType),
    pinned: image.pinned,
  };
}

/** The CRI has no field for it, and its clients show the annotations. */
function specOf(id: string, artifactType: string): proto.ImageSpec {
  const annotations = { [artifactTypeKey]: artifactType };
  return { image: id, annotations, userSpecifiedImage: "", runtimeHandler: "", imageRef: "" };
}

/** The user of an image config ("user[:group]"): a number is its uid, anything else its name (CRI, Image). */
function imageUser(configured: string): Pick<proto.Image, "uid" | "username"> {
  const user = configured.split(":", 1)[0] ?? "";
  // More than 32 bits are no id: then it can only be a name, and a process of it will not start.
  const isId = /^\d{1,10}$/.test(user) && Number(user) <= 0xffff_ffff;
  return isId ? { uid: { value: BigInt(user) }, username: "" } : { uid: undefined, username: user };
}

export function filesystemToProto(usage: FilesystemUsage): proto.FilesystemUsage {
  return {
    timestamp: nanoseconds(usage.timestamp),
    fsId: { mountpoint: usage.mountpoint },
    usedBytes: { value: BigInt(usage.usedBytes) },
    inodesUsed: { value: BigInt(usage.inodesUsed) },
  };
}
