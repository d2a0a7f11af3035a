// Which images may go: none that a container was made from or mounts, none that is pinned.

import { BerthError } from "../lib/errors.ts";
import { type ImageUse, idleImages, imageVolumes } from "../store/images.ts";
import type { Store } from "../store/open.ts";
import type { ImageId } from "../types/ids.ts";
import { resolveImage } from "./resolve-image.ts";

/** Images that nothing holds, those unused for longest first. */
export function unusedImages(store: Store): ImageUse[] {
  const mounted = new Set(imageVolumes(store).map(({ reference }) => idOf(store, reference)));
  return idleImages(store).filter(({ id }) => !mounted.has(id));
}

/** The image that a volume's reference names now; null when it names none. */
export function idOf(store: Store, reference: string): ImageId | null {
  try {
    return resolveImage(store, reference)?.id ?? null;
  } catch (error) {
    // What no longer names one image holds none.
    if (error instanceof BerthError && error.code === "INVALID_ARGUMENT") return null;
    throw error;
  }
}
