import { listImageRows } from "../store/images.ts";
import type { Image } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";
import { resolveImage } from "./resolve-image.ts";

/** All images, each once, or the one that `filter` names; an empty filter is none. */
export function listImages(deps: Pick<ImageDeps, "store">, filter?: string): Image[] {
  if (filter === undefined || filter === "") return listImageRows(deps.store);
  const image = resolveImage(deps.store, filter);
  return image === null ? [] : [image];
}
