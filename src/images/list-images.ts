import { listedImages } from "../store/listed.ts";
import type { ListedImage } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";
import { resolveImage } from "./resolve-image.ts";

/** All images, each once, or the one that `filter` names; an empty filter is none. */
export async function listImages(
  deps: Pick<ImageDeps, "store">,
  filter?: string,
): Promise<readonly ListedImage[]> {
  if (filter === undefined || filter === "") return await listedImages(deps.store);
  const named = resolveImage(deps.store, filter);
  if (named === null) return [];
  return (await listedImages(deps.store)).filter(({ id }) => id === named.id);
}
