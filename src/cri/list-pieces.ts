// What lists show of a row, encoded once for as long as the row does not change.

import * as proto from "../gen/runtime/v1/api.ts";
import { encodePiece, keepPieces } from "../lib/encode-list.ts";
import { inTurns } from "../lib/turns.ts";
import type { ListedContainer } from "../types/container.ts";
import type { ListedImage } from "../types/image.ts";
import type { ListedPod } from "../types/pod.ts";
import { containerToProto } from "./container-to-proto.ts";
import { imageToProto } from "./image-to-proto.ts";
import { podSandboxToProto } from "./pod-to-proto.ts";
import type { CriVerbs } from "./verbs.ts";

export const podPiece = keepPieces((pod: ListedPod) => encodePiece(proto.PodSandbox, podSandboxToProto(pod)));

export const containerPiece = keepPieces((container: ListedContainer) =>
  encodePiece(proto.Container, containerToProto(container)),
);

export const imagePiece = keepPieces((image: ListedImage) => encodePiece(proto.Image, imageToProto(image)));

/** Reads and encodes all there is, so that the first client need not wait for it. */
export async function warmLists(
  verbs: Pick<CriVerbs, "listPodSandbox" | "listContainers" | "listImages">,
): Promise<void> {
  await inTurns(await verbs.listPodSandbox(), podPiece);
  await inTurns(await verbs.listContainers(), containerPiece);
  await inTurns(await verbs.listImages(), imagePiece);
}
