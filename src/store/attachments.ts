// The SQL of network_attachments: what a pod was attached to, and with which configuration. A row is
// written before the first plugin runs and deleted after the last DEL succeeded, so that no crash leaks
// an address.

import type { PodId } from "../types/ids.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

export interface NetworkAttachment {
  readonly podId: PodId;
  readonly position: number;
  readonly network: string;
  readonly interfaceName: string;
  /** The network configuration list as used (JSON). */
  readonly config: string;
  /** What was handed to the plugins beside it (JSON, the shape is the driver's). */
  readonly runtime: string;
  /** Result of the last plugin's ADD (JSON); null when the chain did not complete. */
  readonly result: string | null;
}

interface AttachmentRow {
  pod_id: string;
  position: number;
  network: string;
  interface: string;
  config: string;
  runtime: string;
  result: string | null;
}

/** All of them or none. */
export function insertAttachments(store: Store, attachments: readonly NetworkAttachment[]): void {
  store.transaction(() => {
    for (const attachment of attachments) insertAttachment(store, attachment);
  })();
}

function insertAttachment(store: Store, attachment: NetworkAttachment): void {
  statement(
    store,
    `INSERT INTO network_attachments (pod_id, position, network, interface, config, runtime, result)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    attachment.podId,
    attachment.position,
    attachment.network,
    attachment.interfaceName,
    attachment.config,
    attachment.runtime,
    attachment.result,
  );
}

export function saveAttachmentResult(store: Store, podId: PodId, position: number, result: string): void {
  statement(store, "UPDATE network_attachments SET result = ? WHERE pod_id = ? AND position = ?").run(
    result,
    podId,
    position,
  );
}

/** Attachments of a pod in the order in which they were made. */
export function attachmentsOfPod(store: Store, podId: PodId): NetworkAttachment[] {
  const rows = statement(store, "SELECT * FROM network_attachments WHERE pod_id = ? ORDER BY position").all(
    podId,
  ) as AttachmentRow[];
  return rows.map(attachmentOf);
}

/** Every attachment of every pod. */
export function allAttachments(store: Store): NetworkAttachment[] {
  return (statement(store, "SELECT * FROM network_attachments").all() as AttachmentRow[]).map(attachmentOf);
}

function attachmentOf(row: AttachmentRow): NetworkAttachment {
  return {
    podId: row.pod_id,
    position: row.position,
    network: row.network,
    interfaceName: row.interface,
    config: row.config,
    runtime: row.runtime,
    result: row.result,
  };
}

export function deleteAttachment(store: Store, podId: PodId, position: number): void {
  statement(store, "DELETE FROM network_attachments WHERE pod_id = ? AND position = ?").run(podId, position);
}

/** Pod CIDRs that the kubelet pushed: it does so once in its life, so they must outlive the daemon. */
export function savePodCidrs(store: Store, cidrs: readonly string[]): void {
  const insert = store.prepare("INSERT INTO pod_cidrs (position, cidr) VALUES (?, ?)");
  store.transaction(() => {
    store.prepare("DELETE FROM pod_cidrs").run();
    cidrs.forEach((cidr, position) => {
      insert.run(position, cidr);
    });
  })();
}

export function loadPodCidrs(store: Store): string[] {
  const rows = store.prepare("SELECT cidr FROM pod_cidrs ORDER BY position").all() as { cidr: string }[];
  return rows.map((row) => row.cidr);
}
