import { BerthError } from "../lib/errors.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { imageIdOfRef } from "../store/image-refs.ts";
import { getImage, imageIdsWithPrefix } from "../store/images.ts";
import type { Store } from "../store/open.ts";
import type { Image } from "../types/image.ts";

/**
 * The image that `reference` names: an id with or without "sha256:", a tag (":latest" when there is none),
 * a digest reference, or at least 6 hexadecimal digits of an id. A name wins over the beginning of an id.
 * Null when there is none; INVALID_ARGUMENT when the reference is malformed or the beginning of several ids.
 */
export function resolveImage(store: Store, reference: string): Image | null {
  const hex = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(reference)?.[1];
  if (hex?.length === 64) return getImage(store, `sha256:${hex}`);
  if (!reference.startsWith("sha256:") || hex === undefined) {
    const id = imageIdOfRef(store, formatReference(parseReference(reference)));
    if (id !== null) return getImage(store, id);
  }
  return hex === undefined ? null : imageWithPrefix(store, reference, hex);
}

function imageWithPrefix(store: Store, reference: string, hex: string): Image | null {
  const [id, another] = imageIdsWithPrefix(store, hex);
  if (another !== undefined) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `find image "${reference}": several ids begin so; use more digits`,
    );
  }
  return id === undefined ? null : getImage(store, id);
}
