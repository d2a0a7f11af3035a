// SQL of kept blobs (compressed layers as a registry sent them) and of the compressed forms of layers that
// are known. A row of `blobs` exists only when the file is complete and synced.

import type { Digest, ImageId, Micros } from "../types/ids.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

export interface KeptBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly createdAt: Micros;
}

const columns = "digest, size, created_at AS createdAt";

export function insertBlob(store: Store, blob: KeptBlob): void {
  const sql = "INSERT INTO blobs (digest, size, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
  statement(store, sql).run(blob.digest, blob.size, blob.createdAt);
}

export function findBlob(store: Store, digest: Digest): KeptBlob | undefined {
  return statement<KeptBlob>(store, `SELECT ${columns} FROM blobs WHERE digest = ?`).get(digest);
}

export function listBlobs(store: Store): KeptBlob[] {
  return statement<KeptBlob>(store, `SELECT ${columns} FROM blobs ORDER BY digest`).all();
}

export function deleteBlob(store: Store, digest: Digest): void {
  statement(store, "DELETE FROM blobs WHERE digest = ?").run(digest);
}

/** The image's manifest names these blobs: they stay while it does. Inside a transaction. */
export function holdBlobs(store: Store, id: ImageId, digests: readonly Digest[]): void {
  const sql = "INSERT INTO image_blobs (image_id, digest) VALUES (?, ?) ON CONFLICT DO NOTHING";
  for (const digest of digests) statement(store, sql).run(id, digest);
}

export function blobsOfImage(store: Store, id: ImageId): KeptBlob[] {
  const sql = `SELECT ${columns} FROM blobs WHERE digest IN (
    SELECT digest FROM image_blobs WHERE image_id = ?)`;
  return statement<KeptBlob>(store, sql).all(id);
}

/** Blobs that no image names. */
export function unheldBlobs(store: Store): KeptBlob[] {
  const sql = `SELECT ${columns} FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)`;
  return statement<KeptBlob>(store, sql).all();
}

export function blobUsage(store: Store): { bytes: number; count: number } {
  const sql = "SELECT total(size) AS bytes, count(*) AS count FROM blobs";
  return statement<{ bytes: number; count: number }>(store, sql).get() ?? { bytes: 0, count: 0 };
}

/** A compressed form of a layer that some registry has. */
export interface LayerBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

export function rememberLayerBlob(store: Store, diffId: Digest, blob: LayerBlob): void {
  const sql = `INSERT INTO layer_blobs (diff_id, digest, size, media_type) VALUES (?, ?, ?, ?)
    ON CONFLICT DO NOTHING`;
  statement(store, sql).run(diffId, blob.digest, blob.size, blob.mediaType);
}

export function layerBlobs(store: Store, diffId: Digest): LayerBlob[] {
  const sql =
    "SELECT digest, size, media_type AS mediaType FROM layer_blobs WHERE diff_id = ? ORDER BY digest";
  return statement<LayerBlob>(store, sql).all(diffId);
}

/** Forms of layers that are no longer here. */
export function forgetLayerBlobs(store: Store): void {
  statement(store, "DELETE FROM layer_blobs WHERE diff_id NOT IN (SELECT diff_id FROM layers)").run();
}
