// What the image verbs need. `makeImageDeps` adds what is theirs alone.

import { dirname } from "node:path";
import { defaultLimits, Partials } from "../blobs/partials.ts";
import type { LayerKernel } from "../kernel/kernel.ts";
import { KeyedMutex, SharedFlight } from "../lib/single-flight.ts";
import type { Paths } from "../paths.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { LayerMounts } from "../snapshots/layer-mounts.ts";
import type { Store } from "../store/open.ts";
import type { BerthConfig } from "../types/config.ts";
import type { EventSink } from "../types/events.ts";
import type { ImageId } from "../types/ids.ts";
import { DiskReserve } from "./disk-reserve.ts";
import { LayerDesk } from "./layer-desk.ts";
import type { LayerForms } from "./layer-forms.ts";
import { SnapshotRoom } from "./measure-layers.ts";
import { ProgressBoard } from "./progress.ts";

export interface ImageDeps {
  readonly store: Store;
  readonly kernel: LayerKernel;
  readonly paths: Paths;
  readonly config: BerthConfig;
  readonly registry: RegistryClient;
  readonly events: EventSink;
  readonly layerForms: LayerForms;
  /** Pulls in progress. */
  readonly pulls: SharedFlight<ImageId>;
  readonly layerMounts: LayerMounts;
  readonly desk: LayerDesk;
  readonly progress: ProgressBoard;
  /** Images whose records are being written, and "collect": one collection at a time. */
  readonly imageMutex: KeyedMutex;
  readonly snapshotRoom: SnapshotRoom;
  readonly reserve: DiskReserve;
  readonly partials: Partials;
}

type Own = "pulls" | "desk" | "progress" | "imageMutex" | "snapshotRoom" | "reserve" | "partials";
export type ImageParts = Omit<ImageDeps, Own>;

/** One per daemon: two of them over one database would not see each other's pulls. */
export function makeImageDeps(parts: ImageParts): ImageDeps {
  const { partialMaxBytes, unfinishedMaxAgeMs } = parts.config.registry;
  const limits = {
    maxBytes: partialMaxBytes ?? defaultLimits.maxBytes,
    maxAgeMs: unfinishedMaxAgeMs ?? defaultLimits.maxAgeMs,
  };
  return {
    ...parts,
    pulls: new SharedFlight(),
    desk: new LayerDesk(),
    progress: new ProgressBoard(),
    imageMutex: new KeyedMutex(),
    snapshotRoom: new SnapshotRoom(parts.kernel, dirname(parts.paths.snapshot(0))),
    reserve: new DiskReserve(parts.paths),
    partials: new Partials(parts.paths, limits),
  };
}
