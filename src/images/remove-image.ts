import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { BerthError } from "../lib/errors.ts";
import { withSteps } from "../lib/undo.ts";
import { blobsOfImage, deleteBlob, type KeptBlob, unheldBlobs } from "../store/blobs.ts";
import { durably } from "../store/durable.ts";
import { containersOfImage, deleteImage, imageUsers, imageVolumes } from "../store/images.ts";
import { listLayers } from "../store/layers.ts";
import type { Image, Layer } from "../types/image.ts";
import { dropUnneededRows, removeLayerTrees } from "./delete-layers.ts";
import type { ImageDeps } from "./deps.ts";
import { recordImage } from "./image-record.ts";
import { resolveImage } from "./resolve-image.ts";
import { removeBlobs } from "./sweep-unneeded.ts";
import { idOf } from "./unused-images.ts";

/**
 * Removes the image that `reference` names, with all its tags and digests, and the layers that nothing else
 * needs. A missing image is fine (CRI RemoveImage is idempotent). The image is out of every list when the
 * rows are gone; its directories are removed before this returns.
 *
 * `asked` is what the caller was asked to remove, for messages.
 *
 * An image that a container uses, running or not, is not removed: FAILED_PRECONDITION names the containers.
 * The CRI leaves it open. docker and CRI-O answer likewise; containerd takes the name away and lets the
 * containers go on, but a container of an image that nobody lists can be neither explained nor made again,
 * and the disk is not freed either. The kubelet only removes images without containers.
 */
export async function removeImage(
  deps: ImageDeps,
  call: Call,
  reference: string,
  asked = reference,
): Promise<void> {
  await withSteps("removeImage", call, async (steps) => {
    const removed = await steps.run("commit", () =>
      deps.reserve.deleting(() => durably(deps.store, () => dropRows(deps, reference, asked))),
    );
    if (removed === null) return;
    steps.commit();
    deps.events({ type: "image-removed", imageId: removed.image.id, at: nowMicros() });
    await steps.run("record", () => recordImage(deps, call.log, removed.image.id));
    await steps.run("remove-layers", () => removeLayerTrees(deps, call.log, removed.layers));
    await removeBlobs(deps, call.log, removed.blobs);
  });
}

interface Removed {
  readonly image: Image;
  readonly layers: readonly Layer[];
  readonly blobs: readonly KeptBlob[];
}

function dropRows(deps: ImageDeps, reference: string, asked: string): Removed | null {
  const image = resolveImage(deps.store, reference);
  if (image === null) return null;
  refuseInUse(deps, image, asked);
  const numbers = new Set(image.layers);
  const layers = listLayers(deps.store).filter((layer) => numbers.has(layer.number));
  const kept = blobsOfImage(deps.store, image.id);
  deleteImage(deps.store, image.id);
  const free = new Set(unheldBlobs(deps.store).map(({ digest }) => digest));
  const blobs = kept.filter(({ digest }) => free.has(digest) && !deps.desk.isHeld(digest));
  for (const { digest } of blobs) deleteBlob(deps.store, digest);
  return { image, layers: dropUnneededRows(deps, layers), blobs };
}

const shownUsers = 4;

function refuseInUse(deps: ImageDeps, image: Image, asked: string): void {
  const mounting = imageVolumes(deps.store).filter((use) => idOf(deps.store, use.reference) === image.id);
  const ids = [...containersOfImage(deps.store, image.id), ...mounting.map((use) => use.containerId)];
  const users = imageUsers(deps.store, ids);
  if (users.length === 0) return;
  const list = users.slice(0, shownUsers).map(({ id, state }) => `"${id}" (${state})`);
  if (users.length > shownUsers) list.push(`and ${users.length - shownUsers} more`);
  const [which, first] =
    users.length === 1 ? ["container", "the container"] : ["containers", "these containers"];
  const uses = users.length === 1 ? "uses" : "use";
  throw new BerthError(
    "FAILED_PRECONDITION",
    `remove image "${asked}": ${which} ${list.join(", ")} ${uses} it; remove ${first} first`,
  );
}
