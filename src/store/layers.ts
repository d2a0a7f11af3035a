// SQL of `layers`. A row exists only when the layer is complete on disk and synced. What a check finds wrong
// with it later is its damage: such a layer counts as missing until a new copy replaces it.

import { BerthError } from "../lib/errors.ts";
import type { Digest, ImageId } from "../types/ids.ts";
import type { Layer } from "../types/image.ts";
import type { Store } from "./open.ts";
import { retireLayer } from "./retired-layers.ts";
import { statement } from "./statement.ts";

interface LayerRow {
  number: number;
  diff_id: string;
  blob_digest: string;
  blob_size: number;
  unpacked_bytes: number;
  entries: number;
  created_at: number;
  disk_bytes: number | null;
  disk_inodes: number | null;
  damage: string | null;
  tar_digest: string | null;
}

/**
 * A layer number that nothing had before, not even a layer deleted since. It is taken without a row,
 * because the layer has to be in place before the row.
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

/** Numbers up to this one are taken. */
export function raiseLayerNumbers(store: Store, highest: number): void {
  const bump = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'layers'";
  store.transaction(() => {
    if (statement(store, bump).run(highest).changes > 0) return;
    statement(store, "INSERT INTO sqlite_sequence (name, seq) VALUES ('layers', ?)").run(highest);
  })();
}

/** The layer that can be used; undefined when there is none or it is damaged. */
export function findLayer(store: Store, diffId: Digest): Layer | undefined {
  const sql = "SELECT * FROM layers WHERE diff_id = ? AND damage IS NULL";
  const row = statement<LayerRow>(store, sql).get(diffId);
  return row === undefined ? undefined : layerOf(row);
}

/** The layer in whatever condition. */
export function findLayerRow(store: Store, diffId: Digest): Layer | undefined {
  const row = statement<LayerRow>(store, "SELECT * FROM layers WHERE diff_id = ?").get(diffId);
  return row === undefined ? undefined : layerOf(row);
}

export interface LayerCondition extends Layer {
  /** What is wrong with it; null: nothing that is known. */
  readonly damage: string | null;
}

/** The layers of an image, the lowest first. */
export function layersOfImage(store: Store, id: ImageId): LayerCondition[] {
  const sql = `SELECT l.* FROM image_layers i JOIN layers l ON l.number = i.layer
    WHERE i.image_id = ? ORDER BY i.position`;
  return statement<LayerRow>(store, sql).all(id).map(conditionOf);
}

/** Every layer with its condition. */
export function layerConditions(store: Store): LayerCondition[] {
  return statement<LayerRow>(store, "SELECT * FROM layers ORDER BY number").all().map(conditionOf);
}

/** Records what a check found; null: nothing. */
export function setLayerDamage(store: Store, number: number, damage: string | null): void {
  statement(store, "UPDATE layers SET damage = ? WHERE number = ?").run(damage, number);
}

/** Layers whose room on disk has not been measured. */
export function unmeasuredLayers(store: Store): Layer[] {
  const sql = "SELECT * FROM layers WHERE disk_bytes IS NULL ORDER BY number";
  return statement<LayerRow>(store, sql).all().map(layerOf);
}

export function setLayerRoom(store: Store, number: number, room: { bytes: number; inodes: number }): void {
  const sql = "UPDATE layers SET disk_bytes = ?, disk_inodes = ? WHERE number = ?";
  statement(store, sql).run(room.bytes, room.inodes, number);
}

export function listLayers(store: Store): Layer[] {
  return statement<LayerRow>(store, "SELECT * FROM layers ORDER BY number").all().map(layerOf);
}

/**
 * Adds the row unless it is there. A damaged layer of the same diff ID is replaced: every image gets the new
 * one, and the old copy is kept for the containers that have it. Throws when a sound layer of the diff
 * ID has another number. Must run inside a transaction.
 */
export function insertLayer(store: Store, layer: Layer): void {
  const row = statement<LayerRow>(store, "SELECT * FROM layers WHERE diff_id = ?").get(layer.diffId);
  if (row?.number === layer.number) return;
  if (row !== undefined && row.damage === null) {
    throw new BerthError("INTERNAL", `record layer "${layer.diffId}": it is there from another pull`);
  }
  if (row !== undefined) {
    retireLayer(store, row.number);
    // Its images still point at the row: it makes room for the other before it goes.
    statement(store, "UPDATE layers SET diff_id = 'replaced' WHERE number = ?").run(row.number);
  }
  statement(
    store,
    `INSERT INTO layers (number, diff_id, blob_digest, blob_size, unpacked_bytes, entries, created_at,
       tar_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    layer.number,
    layer.diffId,
    layer.blobDigest,
    layer.blobSize,
    layer.unpackedBytes,
    layer.entries,
    layer.createdAt,
    layer.tarDigest ?? null,
  );
  if (row === undefined) return;
  statement(store, "UPDATE image_layers SET layer = ? WHERE layer = ?").run(layer.number, row.number);
  statement(store, "DELETE FROM layers WHERE number = ?").run(row.number);
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

/** What all layers take on disk, in bytes and inodes; of those not measured yet by what was unpacked. */
export function layerUsage(store: Store): { bytes: number; inodes: number } {
  const sql = `SELECT total(bytes) AS bytes, total(inodes) AS inodes FROM (
    SELECT coalesce(disk_bytes, unpacked_bytes) AS bytes, coalesce(disk_inodes, entries) AS inodes FROM layers
    UNION ALL SELECT disk_bytes, disk_inodes FROM retired_layers)`;
  return statement<{ bytes: number; inodes: number }>(store, sql).get() ?? { bytes: 0, inodes: 0 };
}

/** Bytes on disk of layers that none but these images have. */
export function exclusiveBytes(store: Store, ids: readonly ImageId[]): number {
  const sql = `SELECT total(coalesce(disk_bytes, unpacked_bytes)) AS bytes FROM layers
    WHERE number IN (SELECT layer FROM image_layers WHERE image_id IN (SELECT value FROM json_each(?1)))
      AND number NOT IN (
        SELECT layer FROM image_layers WHERE image_id NOT IN (SELECT value FROM json_each(?1)))`;
  return statement<{ bytes: number }>(store, sql).get({ 1: JSON.stringify(ids) })?.bytes ?? 0;
}

function conditionOf(row: LayerRow): LayerCondition {
  return { ...layerOf(row), damage: row.damage };
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
    ...(row.tar_digest === null ? {} : { tarDigest: row.tar_digest }),
  };
}
