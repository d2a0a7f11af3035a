// SQL of layers that a repair replaced. Their directories stay as long as a container exists that was made
// from them: pulling a lower directory from under a mounted overlay is undefined.

import type { ContainerId } from "../types/ids.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

/**
 * Notes that the directory of this layer has been replaced, and who may be using it. Inside a transaction.
 */
export function retireLayer(store: Store, number: number): void {
  statement(
    store,
    `INSERT INTO retired_layers (number, diff_id, disk_bytes, disk_inodes, retired_at)
       SELECT number, diff_id, coalesce(disk_bytes, 0), coalesce(disk_inodes, 0), unixepoch() * 1000000
         FROM layers WHERE number = ?`,
  ).run(number);
  // Image volumes are named by reference: whoever has one counts, which only keeps a directory longer.
  statement(
    store,
    `INSERT INTO retired_layer_users (number, container_id)
       SELECT ?1, id FROM containers c WHERE image_id IN (SELECT image_id FROM image_layers WHERE layer = ?1)
         OR EXISTS (SELECT 1 FROM json_each(c.config, '$.mounts') m
           WHERE m.value ->> '$.image.image' IS NOT NULL)`,
  ).run({ 1: number });
}

/** Containers that still have the directory. */
export function usersOfRetired(store: Store, number: number): ContainerId[] {
  const sql = `SELECT u.container_id AS id
    FROM retired_layer_users u JOIN containers c ON c.id = u.container_id WHERE u.number = ? ORDER BY c.id`;
  return statement<{ id: string }>(store, sql)
    .all(number)
    .map(({ id }) => id);
}

export function retiredLayers(store: Store): number[] {
  return statement<{ number: number }>(store, "SELECT number FROM retired_layers ORDER BY number")
    .all()
    .map(({ number }) => number);
}

/** Those that no container has any more. */
export function abandonedLayers(store: Store): number[] {
  const sql = `SELECT number FROM retired_layers r WHERE NOT EXISTS (SELECT 1 FROM retired_layer_users u
    JOIN containers c ON c.id = u.container_id WHERE u.number = r.number) ORDER BY number`;
  return statement<{ number: number }>(store, sql)
    .all()
    .map(({ number }) => number);
}

/** The directory is gone. */
export function forgetRetired(store: Store, number: number): void {
  statement(store, "DELETE FROM retired_layers WHERE number = ?").run(number);
}
