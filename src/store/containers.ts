// The only SQL about containers.

import type { Container, ContainerConfig, ExecTemplate, ExitFacts, ProcessUser } from "../types/container.ts";
import type { ContainerRuntime } from "../types/handler.ts";
import type { ContainerId, Micros, PodId } from "../types/ids.ts";
import type { LinuxResources, ProcessRef } from "../types/pod.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

interface ContainerRow {
  snapshot: number;
  id: string;
  pod_id: string;
  config: string;
  image_id: string;
  image_ref: string;
  created_at: number;
  prepared_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  exit_code: number | null;
  signal: number | null;
  oom_killed: number;
  reason: string;
  message: string;
  removing_at: number | null;
  pid: number | null;
  start_time: number | null;
  user: string;
  cgroup_path: string;
  log_path: string;
  stop_signal: number;
  exec_template: string;
  runtime: string | null;
}

const COLUMNS =
  "snapshot, id, pod_id, config, image_id, image_ref, created_at, prepared_at, started_at, finished_at, " +
  "exit_code, signal, oom_killed, reason, message, removing_at, pid, start_time, user, cgroup_path, " +
  "log_path, stop_signal, exec_template, runtime";

function toContainer(row: ContainerRow): Container {
  const process =
    row.pid === null || row.start_time === null ? null : { pid: row.pid, startTime: row.start_time };
  return {
    id: row.id,
    podId: row.pod_id,
    config: JSON.parse(row.config) as ContainerConfig,
    imageId: row.image_id,
    imageRef: row.image_ref,
    createdAt: row.created_at,
    preparedAt: row.prepared_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    exitCode: row.exit_code,
    signal: row.signal,
    oomKilled: row.oom_killed !== 0,
    reason: row.reason,
    message: row.message,
    removingAt: row.removing_at,
    process,
    user: JSON.parse(row.user) as ProcessUser,
    cgroupPath: row.cgroup_path,
    logPath: row.log_path,
    stopSignal: row.stop_signal,
    snapshot: row.snapshot,
    execTemplate: JSON.parse(row.exec_template) as ExecTemplate,
    runtime: row.runtime === null ? null : (JSON.parse(row.runtime) as ContainerRuntime),
  };
}

export type NewContainer = Pick<
  Container,
  | "id"
  | "podId"
  | "config"
  | "imageId"
  | "imageRef"
  | "createdAt"
  | "cgroupPath"
  | "logPath"
  | "stopSignal"
  | "user"
  | "execTemplate"
  | "runtime"
>;

/** Reserves the id, (pod, name, attempt) and a writable snapshot. Returns what findContainer would. */
export function insertContainer(store: Store, container: NewContainer): Container {
  const { name, attempt } = container.config.metadata;
  const result = statement(
    store,
    `INSERT INTO containers (id, pod_id, name, attempt, config, image_id, image_ref, created_at, user,
       cgroup_path, log_path, stop_signal, exec_template, runtime)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    container.id,
    container.podId,
    name,
    attempt,
    JSON.stringify(container.config),
    container.imageId,
    container.imageRef,
    container.createdAt,
    JSON.stringify(container.user),
    container.cgroupPath,
    container.logPath,
    container.stopSignal,
    JSON.stringify(container.execTemplate),
    container.runtime === null ? null : JSON.stringify(container.runtime),
  );
  return {
    ...container,
    snapshot: Number(result.lastInsertRowid),
    preparedAt: null,
    startedAt: null,
    finishedAt: null,
    exitCode: null,
    signal: null,
    oomKilled: false,
    reason: "",
    message: "",
    removingAt: null,
    process: null,
  };
}

export function findContainer(store: Store, id: ContainerId): Container | null {
  const row = statement(store, `SELECT ${COLUMNS} FROM containers WHERE id = ?`).get(id);
  return row === undefined ? null : toContainer(row as ContainerRow);
}

export function findContainerByName(
  store: Store,
  podId: PodId,
  metadata: { name: string; attempt: number },
): Container | null {
  const row = statement(
    store,
    `SELECT ${COLUMNS} FROM containers WHERE pod_id = ? AND name = ? AND attempt = ?`,
  ).get(podId, metadata.name, metadata.attempt);
  return row === undefined ? null : toContainer(row as ContainerRow);
}

/** Every container of the pod, unprepared ones included, the oldest first. */
export function containersOfPod(store: Store, podId: PodId): Container[] {
  return statement(store, `SELECT ${COLUMNS} FROM containers WHERE pod_id = ? ORDER BY snapshot`)
    .all(podId)
    .map((row) => toContainer(row as ContainerRow));
}

/** Of every row. */
export function containerNames(store: Store): { id: ContainerId; snapshot: number }[] {
  return statement<{ id: string; snapshot: number }>(store, "SELECT id, snapshot FROM containers").all();
}

/** Containers of the pod that clients may see: those whose CreateContainer committed, the oldest first. */
export function visibleContainers(store: Store, podId: PodId): Container[] {
  return statement(
    store,
    `SELECT ${COLUMNS} FROM containers WHERE pod_id = ? AND prepared_at IS NOT NULL ORDER BY snapshot`,
  )
    .all(podId)
    .map((row) => toContainer(row as ContainerRow));
}

/** The commit of CreateContainer. */
export function commitContainerPrepared(
  store: Store,
  id: ContainerId,
  facts: { preparedAt: Micros; process: ProcessRef; user: ProcessUser; execTemplate: ExecTemplate },
): void {
  statement(
    store,
    `UPDATE containers SET prepared_at = ?, pid = ?, start_time = ?, user = ?, exec_template = ?
       WHERE id = ?`,
  ).run(
    facts.preparedAt,
    facts.process.pid,
    facts.process.startTime,
    JSON.stringify(facts.user),
    JSON.stringify(facts.execTemplate),
    id,
  );
}

/** The commit of StartContainer. */
export function commitContainerStarted(store: Store, id: ContainerId, at: Micros): void {
  statement(store, "UPDATE containers SET started_at = coalesce(started_at, ?) WHERE id = ?").run(at, id);
}

/** Records how a container ended. False when that was known already, or the container is not there. */
export function commitContainerExited(
  store: Store,
  id: ContainerId,
  exit: ExitFacts & { reason: string; message: string },
): boolean {
  const result = statement(
    store,
    `UPDATE containers SET finished_at = ?, exit_code = ?, signal = ?, oom_killed = ?, reason = ?, message = ?
       WHERE id = ? AND finished_at IS NULL AND prepared_at IS NOT NULL`,
  ).run(exit.finishedAt, exit.exitCode, exit.signal, exit.oomKilled ? 1 : 0, exit.reason, exit.message, id);
  return result.changes > 0;
}

export function markContainerRemoving(store: Store, id: ContainerId, at: Micros): void {
  statement(store, "UPDATE containers SET removing_at = coalesce(removing_at, ?) WHERE id = ?").run(at, id);
}

/** Replaces the resources of the stored config, and what execs take from them (UpdateContainerResources). */
export function commitContainerResources(store: Store, id: ContainerId, resources: LinuxResources): void {
  statement(
    store,
    `UPDATE containers SET config = json_set(config, '$.resources', json(?)),
       exec_template = json_set(exec_template, '$.oomScoreAdj', ?) WHERE id = ?`,
  ).run(JSON.stringify(resources), resources.oomScoreAdj, id);
}

export function deleteContainer(store: Store, id: ContainerId): void {
  statement(store, "DELETE FROM containers WHERE id = ?").run(id);
}

/** Frees the (pod, name, attempt) of a container whose creation failed and could not be undone yet. */
export function releaseContainerName(store: Store, id: ContainerId): void {
  statement(
    store,
    `UPDATE containers SET name = name || ' undone ' || id
       WHERE id = ? AND prepared_at IS NULL AND instr(name, ' undone ') = 0`,
  ).run(id);
}
