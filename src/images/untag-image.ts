import { type Call, throwIfAborted } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { durably } from "../store/durable.ts";
import { deleteRef } from "../store/image-refs.ts";
import type { ImageId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import type { ImageDeps } from "./deps.ts";
import { recordImage } from "./image-record.ts";
import { removeImage } from "./remove-image.ts";
import { resolveImage } from "./resolve-image.ts";

export interface Untagged {
  readonly imageId: ImageId;
  /** Names that are gone. */
  readonly untagged: readonly string[];
  /** The image went with its last name. */
  readonly removed: boolean;
}

/**
 * Takes one name from an image, and removes the image with its last one: what `docker rmi` does. (The CRI's
 * RemoveImage, given any name, takes all of them.) By id the image is removed with all its names; when it has
 * several tags only with `force`. A pinned image is removed only with `force`; one that a container uses
 * never. Errors: NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION.
 */
export async function untagImage(
  deps: ImageDeps,
  call: Call,
  request: { reference: string; force: boolean },
): Promise<Untagged> {
  const { reference, force } = request;
  const doing = `remove image "${reference}"`;
  throwIfAborted(call, doing);
  const image = resolveImage(deps.store, reference);
  if (image === null) throw new BerthError("NOT_FOUND", `${doing}: there is no such image`);
  const name = nameIn(image, reference);
  const last = name !== undefined && image.repoTags.every((tag) => tag === name);
  if (name !== undefined && !last) return await untag(deps, call, image, name);
  if (name === undefined && image.repoTags.length > 1 && !force) {
    const tags = image.repoTags.join(", ");
    throw new BerthError(
      "FAILED_PRECONDITION",
      `${doing}: it has several tags (${tags}); use force, or name one`,
    );
  }
  if (image.pinned && !force) {
    throw new BerthError(
      "FAILED_PRECONDITION",
      `${doing}: the configuration pins it ([images] pinned); use force to remove it all the same`,
    );
  }
  await removeImage(deps, call, image.id, reference);
  return { imageId: image.id, untagged: [...image.repoTags, ...image.repoDigests], removed: true };
}

/** The tag of the image that `reference` is; undefined when it names the image by id or digest. */
function nameIn(image: Image, reference: string): string | undefined {
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(reference)) return undefined;
  const name = formatReference(parseReference(reference));
  return image.repoTags.includes(name) ? name : undefined;
}

async function untag(deps: ImageDeps, call: Call, image: Image, name: string): Promise<Untagged> {
  return await withSteps("UntagImage", call, async (steps) => {
    await steps.run("commit", () =>
      deps.reserve.deleting(() => durably(deps.store, () => deleteRef(deps.store, name))),
    );
    steps.commit();
    deps.events({ type: "image-tagged", imageId: image.id, at: nowMicros() });
    await steps.run("record", () => recordImage(deps, call.log, image.id));
    return { imageId: image.id, untagged: [name], removed: false };
  });
}
