// SQL of `images` and `image_layers`.

import type { ContainerId, Digest, ImageId, Micros } from "../types/ids.ts";
import type { Image, ImageRuntimeConfig, Layer, NewArtifact } from "../types/image.ts";
import { type ImageRef, isPinned, putRefs, refsOfImage } from "./image-refs.ts";
import { insertLayer } from "./layers.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

/** What the one transaction of a pull or load writes. */
export interface NewImage {
  readonly image: Omit<Image, "repoTags" | "repoDigests" | "layers" | "pinned" | "artifact">;
  readonly artifact: NewArtifact | null;
  readonly manifest: Uint8Array;
  readonly manifestType: string;
  /** The lowest first, each once. */
  readonly layers: readonly Layer[];
  readonly refs: readonly ImageRef[];
  /** It was loaded or imported: no registry may have it. */
  readonly local?: boolean;
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
  artifact_type: string;
  artifact: string | null;
}

const imageColumns = `id, size, config, config_json, manifest_digest, architecture, os, pulled_at,
  artifact_type, iif(artifact_type = '', NULL, CAST(manifest AS TEXT)) AS artifact`;

export function getImage(store: Store, id: ImageId): Image | null {
  const sql = `SELECT ${imageColumns} FROM images WHERE id = ?`;
  const row = statement<ImageRow>(store, sql).get(id);
  return row === undefined ? null : imageOf(store, row);
}

export function hasImage(store: Store, id: ImageId): boolean {
  return statement(store, "SELECT 1 FROM images WHERE id = ?").get(id) !== undefined;
}

/** The image whose platform manifest has this digest, unless a layer of it is damaged. */
export function imageIdOfManifest(store: Store, digest: Digest): ImageId | null {
  const sql = `SELECT id FROM images WHERE manifest_digest = ? AND NOT EXISTS (
    SELECT 1 FROM image_layers i JOIN layers l ON l.number = i.layer
      WHERE i.image_id = images.id AND l.damage IS NOT NULL)`;
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

/** Of all images, in no order. */
export function imageIds(store: Store): ImageId[] {
  return statement<{ id: string }>(store, "SELECT id FROM images")
    .all()
    .map(({ id }) => id);
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
       architecture, os, pulled_at, used_at, artifact_type, artifact_config)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO NOTHING`,
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
    image.pulledAt,
    added.artifact?.type ?? "",
    added.artifact === null ? null : Buffer.from(added.artifact.config),
  );
  for (const layer of added.layers) insertLayer(store, layer);
  added.layers.forEach((layer, position) => {
    statement(
      store,
      "INSERT INTO image_layers (image_id, position, layer) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    ).run(image.id, position, layer.number);
  });
  putRefs(store, image.id, added.refs);
  if (added.local === true) markLocal(store, image.id);
}

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** The manifest that the image was made from. */
export function manifestOfImage(store: Store, id: ImageId): StoredManifest | null {
  const sql = `SELECT manifest_digest AS digest, manifest_type AS mediaType, manifest AS bytes
    FROM images WHERE id = ?`;
  return statement<StoredManifest>(store, sql).get(id) ?? null;
}

/** The config blob that the manifest names. */
export function configOfImage(store: Store, id: ImageId): Uint8Array | null {
  const sql = "SELECT coalesce(artifact_config, CAST(config_json AS BLOB)) AS bytes FROM images WHERE id = ?";
  return statement<{ bytes: Uint8Array }>(store, sql).get(id)?.bytes ?? null;
}

/** Marks an image whose content no registry may have. */
export function markLocal(store: Store, id: ImageId): void {
  statement(store, "UPDATE images SET local = 1 WHERE id = ?").run(id);
}

export function isLocal(store: Store, id: ImageId): boolean {
  return statement(store, "SELECT 1 FROM images WHERE id = ? AND local = 1").get(id) !== undefined;
}

/** A container was made from the image. */
export function touchImage(store: Store, id: ImageId, at: Micros): void {
  statement(store, "UPDATE images SET used_at = max(used_at, ?) WHERE id = ?").run(at, id);
}

/** What decides whether an image may be collected. */
export interface ImageUse {
  readonly id: ImageId;
  readonly usedAt: Micros;
  /** When its last name was given to another image or taken away; null: it never was. */
  readonly releasedAt: Micros | null;
  /** It was loaded or imported. */
  readonly local: boolean;
  /** Somebody gave it a tag, or asked for it by digest. */
  readonly named: boolean;
}

/**
 * Images that neither a container nor a pin holds, those unused for longest first. Volumes are not looked
 * at.
 */
export function idleImages(store: Store): ImageUse[] {
  const sql = `SELECT id, used_at AS usedAt, released_at AS releasedAt, local,
      EXISTS (SELECT 1 FROM image_refs r WHERE r.image_id = images.id AND r.asked = 1) AS named
    FROM images WHERE id NOT IN (SELECT image_id FROM containers) ORDER BY used_at, id`;
  return statement<Omit<ImageUse, "local" | "named"> & { local: number; named: number }>(store, sql)
    .all()
    .filter(({ id }) => !isPinned(store, id))
    .map((row) => ({ ...row, local: row.local !== 0, named: row.named !== 0 }));
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

export interface ImageUser {
  readonly id: ContainerId;
  readonly state: "exited" | "running" | "created";
}

/** Those of `ids` that are there, those that run first. */
export function imageUsers(store: Store, ids: readonly ContainerId[]): ImageUser[] {
  const sql = `SELECT id,
      iif(finished_at IS NOT NULL, 'exited', iif(started_at IS NULL, 'created', 'running')) AS state
    FROM containers WHERE id IN (SELECT value FROM json_each(?))
    ORDER BY state = 'running' DESC, created_at, id`;
  return statement<ImageUser>(store, sql).all(JSON.stringify(ids));
}

/** Images that containers mount as volumes, as the mounts name them. */
export function imageVolumes(store: Store): { containerId: ContainerId; reference: string }[] {
  const sql = `SELECT c.id AS containerId,
      coalesce(nullif(m.value ->> '$.image.imageRef', ''), m.value ->> '$.image.image') AS reference
    FROM containers c, json_each(c.config, '$.mounts') m
    WHERE instr(c.config -> '$.mounts', '"image":{') > 0 AND m.value ->> '$.image.image' IS NOT NULL`;
  return statement<{ containerId: string; reference: string }>(store, sql).all();
}

function imageOf(store: Store, row: ImageRow): Image {
  const refs = refsOfImage(store, row.id);
  const layers = statement<{ layer: number }>(
    store,
    "SELECT layer FROM image_layers WHERE image_id = ? ORDER BY position",
  ).all(row.id);
  return {
    id: row.id,
    size: row.size,
    config: JSON.parse(row.config) as ImageRuntimeConfig,
    configJson: row.config_json,
    artifact: row.artifact === null ? null : { type: row.artifact_type, manifest: row.artifact },
    manifestDigest: row.manifest_digest,
    architecture: row.architecture,
    os: row.os,
    pulledAt: row.pulled_at,
    pinned: isPinned(store, row.id),
    repoTags: refs.filter((ref) => ref.kind === "tag").map((ref) => ref.ref),
    repoDigests: refs.filter((ref) => ref.kind === "digest").map((ref) => ref.ref),
    layers: layers.map((entry) => entry.layer),
  };
}
