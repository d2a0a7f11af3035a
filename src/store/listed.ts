// What lists show of pods, containers and images: the views of these tables (see RowView).

import type { ListedContainer } from "../types/container.ts";
import type { ImageRuntimeConfig, ListedImage } from "../types/image.ts";
import type { ListedPod, PodNetwork } from "../types/pod.ts";
import { isPinned, refsOfImage } from "./image-refs.ts";
import type { Store } from "./open.ts";
import { RowView, type Trigger, type ViewSource } from "./row-view.ts";
import { statement } from "./statement.ts";

/** Containers that clients may see, the oldest first. See RowView.all for what "now" means. */
export function listedContainers(store: Store): Promise<readonly ListedContainer[]> {
  return viewsOf(store).containers.all();
}

/** Pods that clients may see, the oldest first. */
export function listedPods(store: Store): Promise<readonly ListedPod[]> {
  return viewsOf(store).pods.all();
}

/** All images, the oldest pull first. */
export function listedImages(store: Store): Promise<readonly ListedImage[]> {
  return viewsOf(store).images.all();
}

interface Views {
  readonly containers: RowView<ListedContainer>;
  readonly pods: RowView<ListedPod>;
  readonly images: RowView<ListedImage>;
}

const views = new WeakMap<Store, Views>();

function viewsOf(store: Store): Views {
  const found = views.get(store) ?? {
    containers: new RowView(store, containerSource),
    pods: new RowView(store, podSource),
    images: new RowView(store, imageSource),
  };
  views.set(store, found);
  return found;
}

/** Of changes of the table's own rows. */
function ownChanges(table: string, columns?: string): Trigger[] {
  return [
    { when: `AFTER INSERT ON main.${table}`, stale: "SELECT NEW.id AS id" },
    {
      when: `AFTER UPDATE ${columns === undefined ? "" : `OF ${columns} `}ON main.${table}`,
      stale: "SELECT NEW.id AS id",
    },
    { when: `AFTER DELETE ON main.${table}`, stale: "SELECT OLD.id AS id" },
  ];
}

/** Of changes that names and state of images depend on; `of` selects what is stale, by image. */
function imageChanges(of: (images: string) => string): Trigger[] {
  const damaged = "SELECT image_id FROM main.image_layers WHERE layer = NEW.number";
  return [
    { when: "AFTER INSERT ON main.image_refs", stale: of("NEW.image_id") },
    {
      when: "AFTER UPDATE ON main.image_refs WHEN OLD.image_id <> NEW.image_id",
      stale: of("OLD.image_id, NEW.image_id"),
    },
    { when: "AFTER DELETE ON main.image_refs", stale: of("OLD.image_id") },
    { when: "AFTER INSERT ON main.image_layers", stale: of("NEW.image_id") },
    { when: "AFTER UPDATE ON main.image_layers", stale: of("NEW.image_id") },
    { when: "AFTER DELETE ON main.image_layers", stale: of("OLD.image_id") },
    {
      when: "AFTER UPDATE OF damage ON main.layers WHEN OLD.damage IS NOT NEW.damage",
      stale: of(damaged),
    },
  ];
}

/** Parsed by SQLite, which leaves out most of a config: half the time of JSON.parse. */
const CONTAINER_SQL = `SELECT id, pod_id AS podId, image_id AS imageId, image_ref AS imageRef,
    created_at AS createdAt, prepared_at AS preparedAt, started_at AS startedAt, finished_at AS finishedAt,
    exit_code AS exitCode, oom_killed AS oomKilled, cgroup_path AS cgroupPath, snapshot,
    json_extract(config, '$.metadata', '$.image', '$.labels', '$.annotations', '$.command', '$.args', '$.tty',
      '$.stdin', '$.resources.cpuShares') AS config,
    EXISTS (SELECT 1 FROM image_layers i JOIN layers l ON l.number = i.layer
      WHERE i.image_id = c.image_id AND l.damage IS NOT NULL) AS damaged,
    (SELECT ref FROM image_refs WHERE image_id = c.image_id AND kind = 'tag' ORDER BY ref) AS tag,
    (SELECT ref FROM image_refs WHERE image_id = c.image_id AND kind = 'digest' ORDER BY ref) AS digest
  FROM containers c WHERE id = ? AND prepared_at IS NOT NULL`;

type Config = ListedContainer["config"];
type ConfigParts = [
  Config["metadata"],
  Config["image"],
  Config["labels"],
  Config["annotations"],
  Config["command"],
  Config["args"],
  boolean,
  boolean,
  number | null,
];

interface ContainerRow extends Omit<ListedContainer, "config" | "oomKilled" | "imageNames"> {
  config: string;
  oomKilled: number;
  damaged: number;
  tag: string | null;
  digest: string | null;
}

const containerSource: ViewSource<ListedContainer> = {
  table: "containers",
  triggers: [
    ...ownChanges("containers"),
    ...imageChanges((images) => `SELECT id FROM main.containers WHERE image_id IN (${images})`),
  ],
  read: (store, id) => {
    const found = statement<ContainerRow>(store, CONTAINER_SQL).get(id);
    if (found === undefined) return null;
    const { config, oomKilled, damaged, tag, digest, ...row } = found;
    const [metadata, image, labels, annotations, command, args, tty, stdin, cpuShares] = JSON.parse(
      config,
    ) as ConfigParts;
    const resources = cpuShares === null ? undefined : { cpuShares };
    return {
      ...row,
      oomKilled: oomKilled !== 0,
      // An image with a damaged layer counts as absent.
      imageNames: damaged !== 0 ? { tag: null, digest: null } : { tag, digest },
      config: { metadata, image, labels, annotations, command, args, tty, stdin, resources },
    };
  },
  order: (a, b) => a.snapshot - b.snapshot,
};

const POD_SQL = `SELECT id, handler, created_at AS createdAt, ready_at AS readyAt, stopped_at AS stoppedAt,
    removing_at AS removingAt, monitor_pid AS pid, monitor_start AS startTime, netns_path AS netnsPath,
    cgroup_path AS cgroupPath, network,
    json_extract(config, '$.metadata', '$.labels', '$.annotations', '$.portMappings') AS config
  FROM pods WHERE id = ? AND ready_at IS NOT NULL`;

interface PodRow extends Omit<ListedPod, "config" | "monitor" | "network"> {
  config: string;
  pid: number | null;
  startTime: number | null;
  network: string;
}

type PodConfigParts = [
  ListedPod["config"]["metadata"],
  ListedPod["config"]["labels"],
  ListedPod["config"]["annotations"],
  ListedPod["config"]["portMappings"],
];

const podSource: ViewSource<ListedPod> = {
  table: "pods",
  triggers: ownChanges("pods"),
  read: (store, id) => {
    const found = statement<PodRow>(store, POD_SQL).get(id);
    if (found === undefined) return null;
    const { config, pid, startTime, network, ...row } = found;
    const [metadata, labels, annotations, portMappings] = JSON.parse(config) as PodConfigParts;
    return {
      ...row,
      monitor: pid === null || startTime === null ? null : { pid, startTime },
      network: JSON.parse(network) as PodNetwork,
      config: { metadata, labels, annotations, portMappings },
    };
  },
  // Those of one microsecond too have an order that stays.
  order: (a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1),
};

/**
 * An image's own config and an artifact's manifest are hostile: what SQLite takes for no JSON, too deep for
 * instance, has no date.
 */
const IMAGE_SQL = `SELECT id, size, pulled_at AS pulledAt, config, artifact_type AS artifactType,
    CASE WHEN artifact_type = '' THEN CASE WHEN json_valid(config_json) THEN config_json ->> '$.created' END
      WHEN json_valid(CAST(manifest AS TEXT))
      THEN CAST(manifest AS TEXT) ->> '$.annotations."org.opencontainers.image.created"' END AS created
  FROM images WHERE id = ?`;

const imageSource: ViewSource<ListedImage> = {
  table: "images",
  triggers: [
    ...ownChanges("images", "size, config, config_json, pulled_at, artifact_type"),
    ...imageChanges((images) => `SELECT id FROM main.images WHERE id IN (${images})`),
    { when: "AFTER INSERT ON main.image_pins", stale: "SELECT id FROM main.images" },
    { when: "AFTER DELETE ON main.image_pins", stale: "SELECT id FROM main.images" },
  ],
  read: (store, id) => {
    type Row = Pick<ListedImage, "id" | "size" | "pulledAt" | "artifactType"> & {
      config: string;
      created: unknown;
    };
    const row = statement<Row>(store, IMAGE_SQL).get(id);
    if (row === undefined) return null;
    const refs = refsOfImage(store, id);
    const named = (kind: "tag" | "digest") => refs.filter((ref) => ref.kind === kind).map(({ ref }) => ref);
    const { user, entrypoint, cmd } = JSON.parse(row.config) as ImageRuntimeConfig;
    return {
      ...row,
      config: { user, entrypoint, cmd },
      created: typeof row.created === "string" ? row.created : "",
      pinned: isPinned(store, id),
      repoTags: named("tag"),
      repoDigests: named("digest"),
    };
  },
  order: (a, b) => a.pulledAt - b.pulledAt || (a.id < b.id ? -1 : 1),
};
