// SQL of `image_refs`: the names of images, who asked for them, and which of them pin.

import { nowMicros } from "../lib/clock.ts";
import type { ImagePin } from "../types/config.ts";
import type { ImageId } from "../types/ids.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

export interface ImageRef {
  /** Normalised: "host/repository:tag" or "host/repository@digest". */
  readonly ref: string;
  readonly kind: "tag" | "digest";
}

/** The image that the normalised reference names now. */
export function imageIdOfRef(store: Store, ref: string): ImageId | null {
  const sql = "SELECT image_id AS id FROM image_refs WHERE ref = ?";
  return statement<{ id: string }>(store, sql).get(ref)?.id ?? null;
}

export function refsOfImage(store: Store, id: ImageId): ImageRef[] {
  const sql = "SELECT ref, kind FROM image_refs WHERE image_id = ? ORDER BY ref";
  return statement<ImageRef>(store, sql).all(id);
}

/**
 * Points references at an image that exists; must run inside a transaction. A tag is a name that somebody
 * gave. So is a digest that comes alone; beside a tag it only tells what the tag stood for. Returns the other
 * images that lost a name.
 */
export function putRefs(store: Store, id: ImageId, refs: readonly ImageRef[]): ImageId[] {
  const alone = refs.every(({ kind }) => kind === "digest");
  const sql = `INSERT INTO image_refs (ref, kind, image_id, asked) VALUES (?, ?, ?, ?)
    ON CONFLICT (ref) DO UPDATE SET image_id = excluded.image_id, asked = max(asked, excluded.asked)`;
  const others = new Set<ImageId>();
  for (const { ref, kind } of refs) {
    const owner = imageIdOfRef(store, ref);
    if (owner !== null && owner !== id) others.add(owner);
    statement(store, sql).run(ref, kind, id, kind === "tag" || alone ? 1 : 0);
  }
  for (const other of others) noteRelease(store, other);
  if (refs.length > 0) statement(store, "UPDATE images SET released_at = NULL WHERE id = ?").run(id);
  return [...others];
}

/** Takes a name from its image; must run inside a transaction. */
export function deleteRef(store: Store, ref: string): void {
  const owner = imageIdOfRef(store, ref);
  if (owner === null) return;
  statement(store, "DELETE FROM image_refs WHERE ref = ?").run(ref);
  noteRelease(store, owner);
}

/** From now on nobody wants the image by name: the grace period begins. */
function noteRelease(store: Store, id: ImageId): void {
  const sql = `UPDATE images SET released_at = ? WHERE id = ? AND released_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM image_refs WHERE image_id = images.id AND asked = 1)`;
  statement(store, sql).run(nowMicros(), id);
}

/**
 * Replaces the patterns. Writes nothing when they are the same: a full disk keeps no daemon from starting.
 */
export function setPins(store: Store, pins: readonly ImagePin[]): void {
  const before = statement<{ pattern: string; exact: number }>(
    store,
    "SELECT pattern, exact FROM image_pins ORDER BY pattern",
  ).all();
  const wanted = [...new Map(pins.map((pin) => [pin.pattern, pin])).values()]
    .map(({ pattern, exact }) => ({ pattern, exact: exact ? 1 : 0 }))
    .sort((a, b) => (a.pattern < b.pattern ? -1 : 1));
  if (JSON.stringify(before) === JSON.stringify(wanted)) return;
  const insert = "INSERT INTO image_pins (pattern, exact) VALUES (?, ?) ON CONFLICT DO NOTHING";
  store.transaction(() => {
    statement(store, "DELETE FROM image_pins").run();
    for (const { pattern, exact } of pins) statement(store, insert).run(pattern, exact ? 1 : 0);
  })();
}

export function isPinned(store: Store, id: ImageId): boolean {
  const sql = `SELECT 1 FROM image_pins p WHERE (p.exact = 1 AND p.pattern = ?1) OR EXISTS (
    SELECT 1 FROM image_refs r WHERE r.image_id = ?1
      AND (r.ref = p.pattern OR (p.exact = 0 AND r.ref GLOB p.pattern))) LIMIT 1`;
  return statement(store, sql).get({ 1: id }) !== undefined;
}
