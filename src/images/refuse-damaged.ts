import { BerthError } from "../lib/errors.ts";
import { layersOfImage } from "../store/layers.ts";
import type { Store } from "../store/open.ts";
import type { Image } from "../types/image.ts";

/** FAILED_PRECONDITION when a layer of the image is known to be damaged: nothing is made from it. */
export function refuseDamaged(store: Store, image: Pick<Image, "id">, doing: string): void {
  const layer = layersOfImage(store, image.id).find(({ damage }) => damage !== null);
  if (layer === undefined) return;
  throw new BerthError(
    "FAILED_PRECONDITION",
    `${doing}: layer "${layer.diffId}" of image "${image.id}" is damaged on disk (${layer.damage}); ` +
      "pull the image again, or run berth image repair",
  );
}
