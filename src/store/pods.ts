// The only SQL about pods.

import type { Micros, PodId } from "../types/ids.ts";
import type { LinuxResources, Pod, PodConfig, PodMetadata, PodNetwork, ProcessRef } from "../types/pod.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

interface PodRow {
  id: string;
  handler: string;
  config: string;
  created_at: number;
  ready_at: number | null;
  stopped_at: number | null;
  removing_at: number | null;
  monitor_pid: number | null;
  monitor_start: number | null;
  netns_path: string;
  network_held: number;
  network: string;
  cgroup_path: string;
  boot_id: string;
}

const COLUMNS =
  "id, handler, config, created_at, ready_at, stopped_at, removing_at, monitor_pid, monitor_start, " +
  "netns_path, network_held, network, cgroup_path, boot_id";

function toPod(row: PodRow): Pod {
  const monitor =
    row.monitor_pid === null || row.monitor_start === null
      ? null
      : { pid: row.monitor_pid, startTime: row.monitor_start };
  return {
    id: row.id,
    config: JSON.parse(row.config) as PodConfig,
    handler: row.handler,
    createdAt: row.created_at,
    readyAt: row.ready_at,
    stoppedAt: row.stopped_at,
    removingAt: row.removing_at,
    monitor,
    netnsPath: row.netns_path,
    networkHeld: row.network_held !== 0,
    network: JSON.parse(row.network) as PodNetwork,
    cgroupPath: row.cgroup_path,
    bootId: row.boot_id,
  };
}

export type NewPod = Pick<
  Pod,
  "id" | "config" | "handler" | "createdAt" | "netnsPath" | "cgroupPath" | "bootId"
>;

/**
 * Reserves the pod's id and its (namespace, name, uid, attempt). Throws SqliteError when the key is taken.
 */
export function insertPod(store: Store, pod: NewPod): void {
  const { name, namespace, uid, attempt } = pod.config.metadata;
  statement(
    store,
    `INSERT INTO pods (id, name, namespace, uid, attempt, handler, config, created_at, netns_path, network,
       cgroup_path, boot_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '{"ips":[]}', ?, ?)`,
  ).run(
    pod.id,
    name,
    namespace,
    uid,
    attempt,
    pod.handler,
    JSON.stringify(pod.config),
    pod.createdAt,
    pod.netnsPath,
    pod.cgroupPath,
    pod.bootId,
  );
}

export function findPod(store: Store, id: PodId): Pod | null {
  const row = statement(store, `SELECT ${COLUMNS} FROM pods WHERE id = ?`).get(id);
  return row === undefined ? null : toPod(row as PodRow);
}

export function findPodByMetadata(store: Store, metadata: PodMetadata): Pod | null {
  const row = statement(
    store,
    `SELECT ${COLUMNS} FROM pods WHERE namespace = ? AND name = ? AND uid = ? AND attempt = ?`,
  ).get(metadata.namespace, metadata.name, metadata.uid, metadata.attempt);
  return row === undefined ? null : toPod(row as PodRow);
}

/** Of every row, unready ones included. */
export function podIds(store: Store): PodId[] {
  return statement<{ id: string }>(store, "SELECT id FROM pods")
    .all()
    .map(({ id }) => id);
}

/** SELinux levels of pods. */
export function takenSelinuxLevels(store: Store): string[] {
  return statement<{ level: string }>(
    store,
    `SELECT config ->> '$.security.selinux.level' AS level FROM pods
       WHERE config ->> '$.security.selinux.level' IS NOT NULL`,
  )
    .all()
    .map(({ level }) => level)
    .filter((level) => level !== "");
}

/** Ranges of the host's ids that pods have in their user namespaces, in no order. */
export function takenUserRanges(store: Store): { hostId: number; length: number }[] {
  const userns = "config -> '$.security.namespaces.userns'";
  const ranges = (list: string) =>
    `SELECT m.value ->> 'hostId' AS hostId, m.value ->> 'length' AS length
       FROM pods, json_each(${userns}, '$.${list}') m WHERE ${userns} IS NOT NULL`;
  return statement<{ hostId: number; length: number }>(
    store,
    `${ranges("uids")} UNION ${ranges("gids")}`,
  ).all();
}

const UNFINISHED = `SELECT id FROM pods WHERE (ready_at IS NULL OR removing_at IS NOT NULL OR
    (stopped_at IS NOT NULL AND (network_held = 1 OR monitor_pid IS NOT NULL)))
  UNION SELECT pod_id FROM containers WHERE (prepared_at IS NULL OR removing_at IS NOT NULL)`;

/**
 * Pods with unfinished business: not ready, being removed, or stopped while something of them is still held;
 * and those with containers that were never prepared, or are being removed.
 */
export function unfinishedPodIds(store: Store): PodId[] {
  return statement<{ id: string }>(store, UNFINISHED)
    .all()
    .map(({ id }) => id);
}

/** Pods in which something may have happened while nobody looked: all but those that are over and done. */
export function unsettledPodIds(store: Store): PodId[] {
  const sql = `SELECT id FROM pods WHERE stopped_at IS NULL
    UNION SELECT pod_id FROM containers WHERE finished_at IS NULL UNION ${UNFINISHED}`;
  return statement<{ id: string }>(store, sql)
    .all()
    .map(({ id }) => id);
}

/** The commit of RunPodSandbox. */
export function commitPodReady(
  store: Store,
  id: PodId,
  facts: { readyAt: Micros; monitor: ProcessRef; network: PodNetwork },
): void {
  statement(
    store,
    "UPDATE pods SET ready_at = ?, monitor_pid = ?, monitor_start = ?, network = ? WHERE id = ?",
  ).run(facts.readyAt, facts.monitor.pid, facts.monitor.startTime, JSON.stringify(facts.network), id);
}

/** From here on the pod is NOTREADY. Keeps the first time. */
export function markPodStopped(store: Store, id: PodId, at: Micros): void {
  statement(store, "UPDATE pods SET stopped_at = coalesce(stopped_at, ?) WHERE id = ?").run(at, id);
}

/** Everything the pod held in the kernel is gone. */
export function commitPodReleased(store: Store, id: PodId): void {
  statement(store, "UPDATE pods SET monitor_pid = NULL, monitor_start = NULL WHERE id = ?").run(id);
}

export function markPodRemoving(store: Store, id: PodId, at: Micros): void {
  statement(store, "UPDATE pods SET removing_at = coalesce(removing_at, ?) WHERE id = ?").run(at, id);
}

/** Replaces what is given of the stored config (UpdatePodSandboxResources). */
export function commitPodResources(
  store: Store,
  id: PodId,
  { overhead, resources }: { overhead: LinuxResources | undefined; resources: LinuxResources | undefined },
): void {
  if (overhead !== undefined) {
    const sql = "UPDATE pods SET config = json_set(config, '$.overhead', json(?)) WHERE id = ?";
    statement(store, sql).run(JSON.stringify(overhead), id);
  }
  if (resources !== undefined) {
    const sql = "UPDATE pods SET config = json_set(config, '$.resources', json(?)) WHERE id = ?";
    statement(store, sql).run(JSON.stringify(resources), id);
  }
}

export function setNetworkHeld(store: Store, id: PodId, held: boolean): void {
  statement(store, "UPDATE pods SET network_held = ? WHERE id = ?").run(held ? 1 : 0, id);
}

export function setPodNetwork(store: Store, id: PodId, network: PodNetwork): void {
  statement(store, "UPDATE pods SET network = ? WHERE id = ?").run(JSON.stringify(network), id);
}

/**
 * Frees the (namespace, name, uid, attempt) of a pod that never became ready and could not be undone yet.
 * Its config keeps the true metadata, which the network's DEL needs.
 */
export function releasePodKey(store: Store, id: PodId): void {
  statement(
    store,
    `UPDATE pods SET uid = uid || ' undone ' || id
       WHERE id = ? AND ready_at IS NULL AND instr(uid, ' undone ') = 0`,
  ).run(id);
}

export function deletePod(store: Store, id: PodId): void {
  statement(store, "DELETE FROM pods WHERE id = ?").run(id);
}
