import type { LayerKernel } from "../kernel/kernel.ts";
import type { Paths } from "../paths.ts";
import type { Image } from "../types/image.ts";

/**
 * Reads a file of an image as its containers see it at first, without mounting anything: links are resolved
 * inside the image. At most `maxBytes`; null when there is no such file.
 */
export async function readImageFile(
  deps: { readonly kernel: Pick<LayerKernel, "readBeneath">; readonly paths: Paths },
  image: Pick<Image, "layers">,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | null> {
  const topFirst = image.layers.map((number) => deps.paths.layer(number)).reverse();
  return await deps.kernel.readBeneath(topFirst, path, maxBytes);
}
