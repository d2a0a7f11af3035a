// SQL of `layers`. A row exists only when the layer's directory is complete and synced.

import { BerthError } from "../lib/errors.ts";
import type { Digest } from "../types/ids.ts";
import type { Layer } from "../types/image.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

interface LayerRow {
  number: number;
  diff_id: string;
  blob_digest: string;
  blob_size: number;
  unpacked_bytes: number;
  entries: number;
  created_at: number;
}

/**
 * A layer number that nothing had before, not even a layer deleted since. It is taken without a row,
 * because the directory has to be in place before the row.
 */
export function reserveLayerNumber(store: Store): number {
  const bump = "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'layers' RETURNING seq";
  return store.transaction(() => {
    const next = statement<{ seq: number }>(store, bump).get();
    if (next !== undefined) return next.seq;
    statement(store, "INSERT INTO sqlite_sequence (name, seq) VALUES ('layers', 1)").run();
    return 1;
  })();
}

export function findLayer(store: Store, diffId: Digest): Layer | undefined {
  const row = statement<LayerRow>(store, "SELECT * FROM layers WHERE diff_id = ?").get(diffId);
  return row === undefined ? undefined : layerOf(row);
}

export function listLayers(store: Store): Layer[] {
  return statement<LayerRow>(store, "SELECT * FROM layers ORDER BY number").all().map(layerOf);
}

/** Adds the row unless it is there; throws when the diff ID belongs to another directory. */
export function insertLayer(store: Store, layer: Layer): void {
  const present = findLayer(store, layer.diffId);
  if (present?.number === layer.number) return;
  if (present !== undefined) {
    throw new BerthError("INTERNAL", `record layer "${layer.diffId}": it has the directory of another pull`);
  }
  statement(
    store,
    `INSERT INTO layers (number, diff_id, blob_digest, blob_size, unpacked_bytes, entries, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    layer.number,
    layer.diffId,
    layer.blobDigest,
    layer.blobSize,
    layer.unpackedBytes,
    layer.entries,
    layer.createdAt,
  );
}

/** Layers that no image names. */
export function unreferencedLayers(store: Store): Layer[] {
  return statement<LayerRow>(
    store,
    "SELECT * FROM layers WHERE number NOT IN (SELECT layer FROM image_layers) ORDER BY number",
  )
    .all()
    .map(layerOf);
}

export function isLayerReferenced(store: Store, number: number): boolean {
  return statement(store, "SELECT 1 FROM image_layers WHERE layer = ? LIMIT 1").get(number) !== undefined;
}

export function deleteLayer(store: Store, number: number): void {
  statement(store, "DELETE FROM layers WHERE number = ?").run(number);
}

/** Bytes and entries of all layers on disk. */
export function layerUsage(store: Store): { bytes: number; entries: number } {
  const sql = "SELECT total(unpacked_bytes) AS bytes, total(entries) AS entries FROM layers";
  return statement<{ bytes: number; entries: number }>(store, sql).get() ?? { bytes: 0, entries: 0 };
}

function layerOf(row: LayerRow): Layer {
  return {
    number: row.number,
    diffId: row.diff_id,
    blobDigest: row.blob_digest,
    blobSize: row.blob_size,
    unpackedBytes: row.unpacked_bytes,
    entries: row.entries,
    createdAt: row.created_at,
  };
}
