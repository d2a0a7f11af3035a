// What lists show of containers and pods. There may be thousands, most of them ended long ago, and lists are
// asked for every second: only the few columns that change are read each time, the rest is parsed once and
// kept.

import type { Container, ListedContainer } from "../types/container.ts";
import type { PodId } from "../types/ids.ts";
import type { ListedPod, Pod } from "../types/pod.ts";
import type { Store } from "./open.ts";
import { statement } from "./statement.ts";

interface Kept {
  readonly containers: Map<string, ListedContainer["config"]>;
  readonly pods: Map<string, ListedPod["config"]>;
}

const keptOf = new WeakMap<Store, Kept>();

function kept(store: Store): Kept {
  const found = keptOf.get(store) ?? { containers: new Map(), pods: new Map() };
  keptOf.set(store, found);
  return found;
}

/** Rows that were deleted are forgotten, now and then. */
function forget(configs: Map<string, unknown>, rows: readonly { id: string }[]): void {
  if (configs.size <= 2 * rows.length + 16) return;
  const ids = new Set(rows.map(({ id }) => id));
  for (const id of configs.keys()) if (!ids.has(id)) configs.delete(id);
}

const CONTAINER_COLUMNS =
  "id, pod_id AS podId, image_id AS imageId, image_ref AS imageRef, created_at AS createdAt, " +
  "prepared_at AS preparedAt, started_at AS startedAt, finished_at AS finishedAt";
const VISIBLE_CONTAINERS = `SELECT ${CONTAINER_COLUMNS} FROM containers WHERE prepared_at IS NOT NULL`;

/** Containers that clients may see, the oldest first; of one pod when it is named. */
export function listedContainers(store: Store, podId?: PodId): ListedContainer[] {
  type Row = Omit<ListedContainer, "config">;
  const rows =
    podId === undefined
      ? statement<Row>(store, `${VISIBLE_CONTAINERS} ORDER BY snapshot`).all()
      : statement<Row>(store, `${VISIBLE_CONTAINERS} AND pod_id = ? ORDER BY snapshot`).all(podId);
  const configs = kept(store).containers;
  if (podId === undefined) forget(configs, rows);
  return rows.map((row) => {
    let config = configs.get(row.id);
    if (config === undefined) {
      config = containerConfig(store, row.id);
      configs.set(row.id, config);
    }
    return { ...row, config };
  });
}

function containerConfig(store: Store, id: string): ListedContainer["config"] {
  const row = statement<{ config: string }>(store, "SELECT config FROM containers WHERE id = ?").get(id);
  const { metadata, image, labels, annotations } = JSON.parse(row?.config ?? "{}") as Container["config"];
  return { metadata, image, labels, annotations };
}

const POD_COLUMNS =
  "id, handler, created_at AS createdAt, ready_at AS readyAt, stopped_at AS stoppedAt, " +
  "removing_at AS removingAt";

/** Pods that clients may see, the oldest first. */
export function listedPods(store: Store): ListedPod[] {
  type Row = Omit<ListedPod, "config">;
  const rows = statement<Row>(
    store,
    `SELECT ${POD_COLUMNS} FROM pods WHERE ready_at IS NOT NULL ORDER BY created_at`,
  ).all();
  const configs = kept(store).pods;
  forget(configs, rows);
  return rows.map((row) => {
    let config = configs.get(row.id);
    if (config === undefined) {
      config = podConfig(store, row.id);
      configs.set(row.id, config);
    }
    return { ...row, config };
  });
}

function podConfig(store: Store, id: string): ListedPod["config"] {
  const row = statement<{ config: string }>(store, "SELECT config FROM pods WHERE id = ?").get(id);
  const { metadata, labels, annotations } = JSON.parse(row?.config ?? "{}") as Pod["config"];
  return { metadata, labels, annotations };
}
