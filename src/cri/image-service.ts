// ImageService of the CRI: which verb stands behind which call. Nothing is decided here.

import type * as proto from "../gen/runtime/v1/api.ts";
import { encodeBatches, encodeList } from "../lib/encode-list.ts";
import type { ImageHandlers } from "./encoded-lists.ts";
import { filled, present, text } from "./fields.ts";
import { authFromProto } from "./image-from-proto.ts";
import { filesystemToProto, imageToProto } from "./image-to-proto.ts";
import { imageInfo } from "./info.ts";
import { type Surroundings, serverStream, unary } from "./intercept.ts";
import { imagePiece } from "./list-pieces.ts";
import type { CriVerbs } from "./verbs.ts";

/** Handlers of every call of ImageService. */
export function makeImageService(verbs: CriVerbs, edge: Surroundings): ImageHandlers {
  const list = (filter: proto.ImageFilter | undefined) =>
    verbs.listImages(text(filter?.image?.image ?? "", "filter.image.image"));
  return {
    listImages: unary(edge, async (_call, { filter }) => encodeList(await list(filter), imagePiece)),
    streamImages: serverStream(edge, async function* (_call, { filter }) {
      yield* encodeBatches(await list(filter), imagePiece);
    }),
    imageStatus: unary(edge, (_call, { image, verbose }) => {
      const found = verbs.imageStatus(referenceOf(image));
      if (found === null) return { image: undefined, info: {} };
      return { image: imageToProto(found), info: verbose ? imageInfo(found) : {} };
    }),
    pullImage: unary(edge, async (call, { image, auth }) => ({
      imageRef: await verbs.pullImage(call, { image: referenceOf(image), auth: authFromProto(auth) }),
    })),
    removeImage: unary(edge, async (call, { image }) => {
      await verbs.removeImage(call, referenceOf(image));
      return {};
    }),
    imageFsInfo: unary(edge, async () => {
      const { image, container } = await verbs.imageFsInfo();
      return {
        imageFilesystems: image.map(filesystemToProto),
        containerFilesystems: container.map(filesystemToProto),
      };
    }),
  };
}

/** The reference or id that a request is about. */
function referenceOf(spec: proto.ImageSpec | undefined): string {
  return filled(present(spec, "image").image, "image.image");
}
