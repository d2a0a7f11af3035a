// What the verbs of containers work with.

import { CgroupSampler } from "../cgroups/cgroup-sampler.ts";
import { Handlers } from "../handlers/handlers.ts";
import type { HostFacts, Kernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { KeyedMutex, SingleFlight } from "../lib/single-flight.ts";
import type { MonitorDriver } from "../monitor/monitor.ts";
import { MonitorRegistry } from "../monitor/registry.ts";
import type { Paths } from "../paths.ts";
import type { LayerMounts } from "../snapshots/layer-mounts.ts";
import { LayerUsage } from "../snapshots/layer-usage.ts";
import type { Store } from "../store/open.ts";
import type { BerthConfig } from "../types/config.ts";
import type { BerthEvent, EventSink } from "../types/events.ts";
import type { ContainerId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import { ExitWaiters } from "./exit-waiters.ts";
import { OpenSessions } from "./open-sessions.ts";
import { SeccompCache } from "./seccomp-cache.ts";
import { UserFilesCache } from "./user-files.ts";

export interface ContainerDeps {
  readonly store: Store;
  readonly kernel: Kernel;
  readonly paths: Paths;
  readonly config: BerthConfig;
  readonly host: HostFacts;
  readonly log: Logger;
  readonly monitors: MonitorRegistry;
  readonly monitorDriver: MonitorDriver;
  readonly seccomp: SeccompCache;
  readonly userFiles: UserFilesCache;
  readonly events: EventSink;
  readonly mutex: KeyedMutex;
  /** By pod, name and attempt. */
  readonly creating: SingleFlight<ContainerId>;
  /** By container id. An exit is recorded after the start that it follows. */
  readonly starting: SingleFlight<void>;
  readonly removing: SingleFlight<void>;
  /** Ids of pods and containers whose rows this process is working on: nobody else undoes them. */
  readonly making: Set<string>;
  readonly exits: ExitWaiters;
  /** Containers whose stop signal was sent: a second stop only shortens the wait. */
  readonly signalled: Set<ContainerId>;
  readonly handlers: Handlers;
  readonly tearingDown: SingleFlight<void>;
  /** By container id. */
  readonly undoing: KeyedMutex;
  readonly sessions: OpenSessions;
  readonly sampler: CgroupSampler;
  readonly layerUsage: LayerUsage;
  readonly layerMounts: LayerMounts;
}

export interface ContainerParts {
  readonly store: Store;
  readonly kernel: Kernel;
  readonly paths: Paths;
  readonly config: BerthConfig;
  readonly host: HostFacts;
  readonly log: Logger;
  readonly monitorDriver: MonitorDriver;
  readonly events: (event: BerthEvent) => void;
  readonly layerMounts: LayerMounts;
  /** Reads a file of an image (src/snapshots), null when missing. */
  readonly readImageFile: (image: Image, path: string) => Promise<Uint8Array | null>;
}

/** Adds what the verbs keep in memory. */
export function makeContainerDeps(parts: ContainerParts): ContainerDeps {
  const { readImageFile, ...rest } = parts;
  return {
    ...rest,
    monitors: new MonitorRegistry(),
    seccomp: new SeccompCache(parts.kernel),
    userFiles: new UserFilesCache(readImageFile),
    mutex: new KeyedMutex(),
    creating: new SingleFlight(),
    starting: new SingleFlight(),
    removing: new SingleFlight(),
    making: new Set(),
    exits: new ExitWaiters(),
    signalled: new Set(),
    handlers: new Handlers(parts.config.handlers, parts.config.defaultHandler, parts.paths.state),
    tearingDown: new SingleFlight(),
    undoing: new KeyedMutex(),
    sessions: new OpenSessions(),
    sampler: new CgroupSampler(parts.kernel),
    layerUsage: new LayerUsage(parts),
  };
}
