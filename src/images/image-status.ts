import type { Image } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";
import { resolveImage } from "./resolve-image.ts";

/** The image that `reference` names (see resolveImage), or null. */
export function imageStatus(deps: Pick<ImageDeps, "store">, reference: string): Image | null {
  return resolveImage(deps.store, reference);
}
