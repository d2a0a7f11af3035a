import type { LayerKernel } from "../kernel/kernel.ts";
import type { Image } from "../types/image.ts";
import type { LayerMounts } from "./layer-mounts.ts";

/**
 * Reads a file of an image as its containers see it at first, without making one: links are resolved inside
 * the image. At most `maxBytes`; null when there is no such file.
 */
export async function readImageFile(
  deps: { readonly kernel: Pick<LayerKernel, "readBeneath">; readonly layerMounts: LayerMounts },
  image: Pick<Image, "layers">,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | null> {
  const layers = await deps.layerMounts.hold(image.layers);
  try {
    const topFirst = image.layers.map((number) => layers.path(number)).reverse();
    return await deps.kernel.readBeneath(topFirst, path, maxBytes);
  } finally {
    layers.release();
  }
}
