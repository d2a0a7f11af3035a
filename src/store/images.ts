// SQL of `images`, `image_layers` and `image_refs`.

import type { ContainerId, Digest, ImageId } from "../types/ids.ts";
import type { Image, ImageRuntimeConfig, Layer } from "../types/image.ts";
import { insertLayer } from "./layers.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

export interface ImageRef {
  /** Normalised: "host/repository:tag" or "host/repository@digest". */
  readonly ref: string;
  readonly kind: "tag" | "digest";
}

/** What the one transaction of a pull or load writes. */
export interface NewImage {
  readonly image: Omit<Image, "repoTags" | "repoDigests" | "layers" | "pinned">;
  readonly manifest: Uint8Array;
  readonly manifestType: string;
  /** The lowest first, each once. */
  readonly layers: readonly Layer[];
  readonly refs: readonly ImageRef[];
}

interface ImageRow {
  id: string;
  size: number;
  config: string;
  config_json: string;
  manifest_digest: string;
  architecture: string;
  os: string;
  pulled_at: number;
  pinned: number;
}

const imageColumns = "id, size, config, config_json, manifest_digest, architecture, os, pulled_at, pinned";

export function getImage(store: Store, id: ImageId): Image | null {
  const sql = `SELECT ${imageColumns} FROM images WHERE id = ?`;
  const row = statement<ImageRow>(store, sql).get(id);
  return row === undefined ? null : imageOf(store, row);
}

/** The image that the normalised reference names now. */
export function imageIdOfRef(store: Store, ref: string): ImageId | null {
  const sql = "SELECT image_id AS id FROM image_refs WHERE ref = ?";
  return statement<{ id: string }>(store, sql).get(ref)?.id ?? null;
}

/** The image whose platform manifest has this digest. */
export function imageIdOfManifest(store: Store, digest: Digest): ImageId | null {
  const sql = "SELECT id FROM images WHERE manifest_digest = ?";
  return statement<{ id: string }>(store, sql).get(digest)?.id ?? null;
}

/** At most two ids that begin with "sha256:" and `hex`: two are enough to know that it is ambiguous. */
export function imageIdsWithPrefix(store: Store, hex: string): ImageId[] {
  const from = `sha256:${hex}`;
  const sql = "SELECT id FROM images WHERE id >= ? AND id < ? ORDER BY id LIMIT 2";
  return statement<{ id: string }>(store, sql)
    .all(from, `${from}g`)
    .map((row) => row.id);
}

/** All images, the oldest pull first. */
export function listImageRows(store: Store): Image[] {
  const sql = `SELECT ${imageColumns} FROM images ORDER BY pulled_at, id`;
  return statement<ImageRow>(store, sql)
    .all()
    .map((row) => imageOf(store, row));
}

/** Writes an image, its layers and its references; must run inside a transaction. References move to it. */
export function putImage(store: Store, added: NewImage): void {
  const { image } = added;
  statement(
    store,
    `INSERT INTO images (id, size, config, config_json, manifest_digest, manifest, manifest_type,
       architecture, os, pulled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
  ).run(
    image.id,
    image.size,
    JSON.stringify(image.config),
    image.configJson,
    image.manifestDigest,
    Buffer.from(added.manifest),
    added.manifestType,
    image.architecture,
    image.os,
    image.pulledAt,
  );
  for (const layer of added.layers) insertLayer(store, layer);
  added.layers.forEach((layer, position) => {
    statement(
      store,
      "INSERT INTO image_layers (image_id, position, layer) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    ).run(image.id, position, layer.number);
  });
  putRefs(store, image.id, added.refs);
}

/** Points references at an image that exists; must run inside a transaction. */
export function putRefs(store: Store, id: ImageId, refs: readonly ImageRef[]): void {
  const sql = `INSERT INTO image_refs (ref, kind, image_id) VALUES (?, ?, ?)
    ON CONFLICT (ref) DO UPDATE SET image_id = excluded.image_id`;
  for (const { ref, kind } of refs) statement(store, sql).run(ref, kind, id);
}

/** Deletes the image with its references; its layers stay. */
export function deleteImage(store: Store, id: ImageId): void {
  statement(store, "DELETE FROM images WHERE id = ?").run(id);
}

export function imagesOfLayer(store: Store, number: number): ImageId[] {
  const sql = "SELECT DISTINCT image_id AS id FROM image_layers WHERE layer = ?";
  return statement<{ id: string }>(store, sql)
    .all(number)
    .map((row) => row.id);
}

/** Containers made from the image, in any state. */
export function containersOfImage(store: Store, id: ImageId): ContainerId[] {
  return statement<{ id: string }>(store, "SELECT id FROM containers WHERE image_id = ? ORDER BY id")
    .all(id)
    .map((row) => row.id);
}

/** Images that containers mount as volumes, as the mounts name them. */
export function imageVolumes(store: Store): { containerId: ContainerId; reference: string }[] {
  const sql = `SELECT c.id AS containerId, m.value ->> '$.image.image' AS reference
    FROM containers c, json_each(c.config, '$.mounts') m
    WHERE m.value ->> '$.image.image' IS NOT NULL`;
  return statement<{ containerId: string; reference: string }>(store, sql).all();
}

function imageOf(store: Store, row: ImageRow): Image {
  const refs = statement<ImageRef>(
    store,
    "SELECT ref, kind FROM image_refs WHERE image_id = ? ORDER BY ref",
  ).all(row.id);
  const layers = statement<{ layer: number }>(
    store,
    "SELECT layer FROM image_layers WHERE image_id = ? ORDER BY position",
  ).all(row.id);
  return {
    id: row.id,
    size: row.size,
    config: JSON.parse(row.config) as ImageRuntimeConfig,
    configJson: row.config_json,
    manifestDigest: row.manifest_digest,
    architecture: row.architecture,
    os: row.os,
    pulledAt: row.pulled_at,
    pinned: row.pinned !== 0,
    repoTags: refs.filter((ref) => ref.kind === "tag").map((ref) => ref.ref),
    repoDigests: refs.filter((ref) => ref.kind === "digest").map((ref) => ref.ref),
    layers: layers.map((entry) => entry.layer),
  };
}
