// Migrations, in order; `user_version` counts those applied. A released one never changes.
// Timestamps are microseconds since the epoch. JSON columns hold the types of src/types.

export const migrations: readonly string[] = [
  `
CREATE TABLE pods (
  id           TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  namespace    TEXT NOT NULL,
  uid          TEXT NOT NULL,
  attempt      INTEGER NOT NULL,
  handler      TEXT NOT NULL,
  config       TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  ready_at     INTEGER,
  stopped_at   INTEGER,
  removing_at  INTEGER,
  monitor_pid  INTEGER,
  monitor_start INTEGER,
  netns_path   TEXT NOT NULL,
  network_held INTEGER NOT NULL DEFAULT 0,
  network      TEXT NOT NULL,
  cgroup_path  TEXT NOT NULL,
  boot_id      TEXT NOT NULL,
  UNIQUE (namespace, name, uid, attempt)
) STRICT;

CREATE TABLE containers (
  snapshot      INTEGER PRIMARY KEY AUTOINCREMENT,
  id            TEXT NOT NULL UNIQUE,
  pod_id        TEXT NOT NULL REFERENCES pods (id),
  name          TEXT NOT NULL,
  attempt       INTEGER NOT NULL,
  config        TEXT NOT NULL,
  image_id      TEXT NOT NULL,
  image_ref     TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  prepared_at   INTEGER,
  started_at    INTEGER,
  finished_at   INTEGER,
  exit_code     INTEGER,
  signal        INTEGER,
  oom_killed    INTEGER NOT NULL DEFAULT 0,
  reason        TEXT NOT NULL DEFAULT '',
  message       TEXT NOT NULL DEFAULT '',
  removing_at   INTEGER,
  pid           INTEGER,
  start_time    INTEGER,
  user          TEXT NOT NULL,
  cgroup_path   TEXT NOT NULL,
  log_path      TEXT NOT NULL,
  stop_signal   INTEGER NOT NULL,
  exec_template TEXT NOT NULL,
  UNIQUE (pod_id, name, attempt)
) STRICT;
CREATE INDEX containers_by_image ON containers (image_id);

CREATE TABLE layers (
  number         INTEGER PRIMARY KEY AUTOINCREMENT,
  diff_id        TEXT NOT NULL UNIQUE,
  blob_digest    TEXT NOT NULL,
  blob_size      INTEGER NOT NULL,
  unpacked_bytes INTEGER NOT NULL,
  entries        INTEGER NOT NULL,
  created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX layers_by_blob ON layers (blob_digest);

CREATE TABLE images (
  id              TEXT PRIMARY KEY,
  size            INTEGER NOT NULL,
  config          TEXT NOT NULL,
  config_json     TEXT NOT NULL,
  manifest_digest TEXT NOT NULL,
  manifest        BLOB NOT NULL,
  manifest_type   TEXT NOT NULL,
  architecture    TEXT NOT NULL,
  os              TEXT NOT NULL,
  pulled_at       INTEGER NOT NULL,
  pinned          INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE image_layers (
  image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  layer    INTEGER NOT NULL REFERENCES layers (number),
  PRIMARY KEY (image_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers (layer);

CREATE TABLE image_refs (
  ref      TEXT PRIMARY KEY,
  kind     TEXT NOT NULL CHECK (kind IN ('tag', 'digest')),
  image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX image_refs_by_image ON image_refs (image_id);

CREATE TABLE network_attachments (
  pod_id      TEXT NOT NULL REFERENCES pods (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL,
  network     TEXT NOT NULL,
  interface   TEXT NOT NULL,
  config      TEXT NOT NULL,
  runtime     TEXT NOT NULL,
  result      TEXT,
  PRIMARY KEY (pod_id, position)
) STRICT, WITHOUT ROWID;
`,
  `
CREATE TABLE pod_cidrs (
  position INTEGER PRIMARY KEY,
  cidr     TEXT NOT NULL
) STRICT;
`,
  `
ALTER TABLE images ADD COLUMN local INTEGER NOT NULL DEFAULT 0;
ALTER TABLE images ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE images ADD COLUMN released_at INTEGER;
ALTER TABLE image_refs ADD COLUMN asked INTEGER NOT NULL DEFAULT 1;
ALTER TABLE layers ADD COLUMN disk_bytes INTEGER;
ALTER TABLE layers ADD COLUMN disk_inodes INTEGER;
ALTER TABLE layers ADD COLUMN damage TEXT;

CREATE TABLE image_pins (
  pattern TEXT PRIMARY KEY,
  exact   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE retired_layers (
  number      INTEGER PRIMARY KEY,
  diff_id     TEXT NOT NULL,
  disk_bytes  INTEGER NOT NULL,
  disk_inodes INTEGER NOT NULL,
  retired_at  INTEGER NOT NULL
) STRICT;
CREATE TABLE retired_layer_users (
  number       INTEGER NOT NULL REFERENCES retired_layers (number) ON DELETE CASCADE,
  container_id TEXT NOT NULL,
  PRIMARY KEY (number, container_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
  digest     TEXT PRIMARY KEY,
  size       INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE image_blobs (
  image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  digest   TEXT NOT NULL,
  PRIMARY KEY (image_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_blobs_by_digest ON image_blobs (digest);
CREATE TABLE layer_blobs (
  diff_id    TEXT NOT NULL,
  digest     TEXT NOT NULL,
  size       INTEGER NOT NULL,
  media_type TEXT NOT NULL,
  PRIMARY KEY (diff_id, digest)
) STRICT, WITHOUT ROWID;
  `,
  `
-- JSON; null for the native handler without hooks
ALTER TABLE containers ADD COLUMN runtime TEXT;
`,
  `
-- What there is left to do, without a look at what is done. Queries repeat these conditions word by word.
CREATE INDEX pods_not_stopped ON pods (id) WHERE stopped_at IS NULL;
CREATE INDEX pods_unfinished ON pods (id) WHERE (ready_at IS NULL OR removing_at IS NOT NULL OR
  (stopped_at IS NOT NULL AND (network_held = 1 OR monitor_pid IS NOT NULL)));
CREATE INDEX containers_not_ended ON containers (pod_id) WHERE finished_at IS NULL;
CREATE INDEX containers_unfinished ON containers (pod_id)
  WHERE (prepared_at IS NULL OR removing_at IS NOT NULL);
-- What few configs hold and is looked for in all of them.
CREATE INDEX containers_with_image_volumes ON containers (id)
  WHERE instr(config -> '$.mounts', '"image":{') > 0;
CREATE INDEX pods_by_user_namespace ON pods (config -> '$.security.namespaces.userns')
  WHERE config -> '$.security.namespaces.userns' IS NOT NULL;
CREATE INDEX pods_by_selinux_level ON pods (config ->> '$.security.selinux.level')
  WHERE config ->> '$.security.selinux.level' IS NOT NULL;
`,
  `
-- Of an artifact: its type ("" of an image) and its config, which need be no text.
ALTER TABLE images ADD COLUMN artifact_type TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN artifact_config BLOB;
-- Of the tar in which an artifact's file is kept; null: it is the diff ID.
ALTER TABLE layers ADD COLUMN tar_digest TEXT;
`,
];
