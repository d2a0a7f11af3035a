import { layersOfImage } from "../store/layers.ts";
import type { Image } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";
import { resolveImage } from "./resolve-image.ts";

/**
 * The image that `reference` names (see resolveImage), or null. An image with a damaged layer counts as
 * absent: who asks before making a container (the kubelet, `berth run`) then pulls it, which mends it.
 */
export function imageStatus(deps: Pick<ImageDeps, "store">, reference: string): Image | null {
  const image = resolveImage(deps.store, reference);
  if (image === null) return null;
  return layersOfImage(deps.store, image.id).some(({ damage }) => damage !== null) ? null : image;
}
