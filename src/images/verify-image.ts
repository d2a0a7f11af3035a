import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { LayerComparison } from "../kernel/kernel.ts";
import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError, errnoOf, messageOf } from "../lib/errors.ts";
import { inTurns } from "../lib/turns.ts";
import { deleteBlob, findBlob } from "../store/blobs.ts";
import { getImage, imageIds, imagesOfLayer } from "../store/images.ts";
import { findLayerRow, type LayerCondition, layersOfImage, setLayerDamage } from "../store/layers.ts";
import type { Digest } from "../types/ids.ts";
import type { ImageDeps } from "./deps.ts";
import { isUnusableForm, unusableForm } from "./layer-forms.ts";
import { resolveImage } from "./resolve-image.ts";

export interface LayerVerdict {
  readonly diffId: Digest;
  /** Names of the images that have the layer. */
  readonly images: readonly string[];
  /** "": sound. */
  readonly damage: string;
  /** At most so many entries that differ; `damage` tells how many there are. */
  readonly entries: readonly { readonly path: string; readonly what: string }[];
}

const shownEntries = 100;

/**
 * Compares the layers of an image, or of all images, with what they were unpacked from, and notes which are
 * damaged: by size, type, mode and owner of every entry and by what never was in the layer, or `full`,
 * contents and attributes too. `pause` gives way to other work: so many times the time that a layer took.
 * Errors: NOT_FOUND.
 */
export async function verifyImage(
  deps: ImageDeps,
  call: Call,
  request: { reference?: string | undefined; full: boolean; pause?: number },
  onLayer: (verdict: LayerVerdict) => Promise<void> | void = () => {},
): Promise<LayerVerdict[]> {
  const verdicts: LayerVerdict[] = [];
  for (const { diffId } of await layersToVerify(deps, request.reference)) {
    throwIfAborted(call, "verify images");
    const layer = findLayerRow(deps.store, diffId);
    // Removed since.
    if (layer === undefined) continue;
    const began = performance.now();
    const verdict = await verifyLayer(deps, call, layer, request.full);
    verdicts.push(verdict);
    await onLayer(verdict);
    const wait = (request.pause ?? 0) * (performance.now() - began);
    if (wait > 0) await sleep(wait, undefined, { signal: call.signal, ref: false });
  }
  return verdicts;
}

async function layersToVerify(deps: ImageDeps, reference: string | undefined): Promise<LayerCondition[]> {
  const ids = reference === undefined ? imageIds(deps.store) : [imageOf(deps, reference).id];
  const layers = new Map<number, LayerCondition>();
  await inTurns(ids, (id) => {
    for (const layer of layersOfImage(deps.store, id)) layers.set(layer.number, layer);
  });
  return [...layers.values()];
}

function imageOf(deps: ImageDeps, reference: string) {
  const image = resolveImage(deps.store, reference);
  if (image !== null) return image;
  throw new BerthError("NOT_FOUND", `verify image "${reference}": there is no such image`);
}

type Found = Pick<LayerVerdict, "damage" | "entries">;

async function verifyLayer(
  deps: ImageDeps,
  call: Call,
  layer: Pick<LayerCondition, "number" | "diffId" | "tarDigest" | "blobDigest">,
  full: boolean,
): Promise<LayerVerdict> {
  const found = await compare(deps, layer, full);
  // Repaired or removed meanwhile: the verdict is about a copy that nobody uses any more.
  if (findLayerRow(deps.store, layer.diffId)?.number === layer.number) {
    // What this host cannot use was noted at the start, unless something else is wrong with it, too.
    const isNew = found.damage !== "" && !isUnusableForm(found.damage);
    if (isNew) setLayerDamage(deps.store, layer.number, found.damage);
    else if (full && found.damage === "") setLayerDamage(deps.store, layer.number, null);
  }
  if (full) await verifyBlob(deps, call, layer.blobDigest);
  const images = imagesOfLayer(deps.store, layer.number).map((id) => {
    const image = getImage(deps.store, id);
    return image?.repoTags[0] ?? image?.repoDigests[0] ?? id;
  });
  if (found.damage !== "") {
    call.log.error({ layer: layer.diffId, images, damage: found.damage }, "layer is damaged");
  }
  return { diffId: layer.diffId, images, ...found };
}

async function compare(
  deps: ImageDeps,
  { number, diffId, tarDigest }: Pick<LayerCondition, "number" | "diffId" | "tarDigest">,
  full: boolean,
): Promise<Found> {
  const [tree, record] = [deps.paths.layer(number), deps.paths.layerRecord(number)];
  const unusable = unusableForm(deps.layerForms);
  try {
    if (unusable !== "" && (await lstat(tree)).isFile()) return { damage: unusable, entries: [] };
    const { kernel } = deps;
    const result = full ? kernel.verifyLayer(tree, record) : kernel.checkLayer(tree, record);
    return foundIn(await result, tarDigest ?? diffId, full);
  } catch (error) {
    const isData = error instanceof BerthError && error.code === "DATA_LOSS";
    if (isData || errnoOf(error) === "ENOENT") return { damage: messageOf(error), entries: [] };
    throw error;
  }
}

function foundIn(result: LayerComparison, tarDigest: Digest, full: boolean): Found {
  const [first] = result.damaged;
  const entries = result.damaged.slice(0, shownEntries).map(({ path, what }) => ({ path, what }));
  if (first !== undefined) {
    const more = result.damaged.length - 1;
    const others = more === 0 ? "" : ` and ${more} more`;
    return { damage: `"${first.path}" ${first.what}${others}`, entries };
  }
  if (full && result.lost === "" && result.diffId !== tarDigest) {
    return { damage: `its tar has the digest "${result.diffId}"`, entries };
  }
  return { damage: "", entries };
}

/** A kept blob that has changed is of no use to anybody. */
async function verifyBlob(deps: ImageDeps, call: Call, digest: Digest): Promise<void> {
  if (findBlob(deps.store, digest) === undefined) return;
  const path = deps.paths.blob(digest);
  const [algorithm = ""] = digest.split(":");
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }))
      hash.update(chunk as Buffer);
    if (`${algorithm}:${hash.digest("hex")}` === digest) return;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  call.log.warn({ blob: digest, path }, "kept blob is damaged: forgotten");
  deleteBlob(deps.store, digest);
  await deps.kernel.removeTree(path);
}
