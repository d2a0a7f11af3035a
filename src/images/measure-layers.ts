import { stat } from "node:fs/promises";
import type { LayerKernel } from "../kernel/kernel.ts";
import { errnoOf } from "../lib/errors.ts";
import { setLayerRoom, unmeasuredLayers } from "../store/layers.ts";
import type { ImageDeps } from "./deps.ts";

/** Measures what new layers and their records take on disk. Neither ever changes, so once is enough. */
export async function measureLayers(deps: Pick<ImageDeps, "store" | "paths" | "kernel">): Promise<void> {
  for (const layer of unmeasuredLayers(deps.store)) {
    const { bytes, inodes } = await usageOf(deps.kernel, deps.paths.layer(layer.number));
    const record = await stat(deps.paths.layerRecord(layer.number)).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return null;
      throw error;
    });
    const room =
      record === null ? { bytes, inodes } : { bytes: bytes + record.blocks * 512, inodes: inodes + 1 };
    setLayerRoom(deps.store, layer.number, room);
  }
}

/** Missing is nothing: layers are removed meanwhile, or damaged. */
async function usageOf(
  kernel: Pick<LayerKernel, "treeUsage">,
  path: string,
): Promise<{ bytes: number; inodes: number }> {
  try {
    return await kernel.treeUsage(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { bytes: 0, inodes: 0 };
    throw error;
  }
}

/** How long a measurement of the snapshots is told: containers write all the time. */
const MAX_AGE_MS = 10_000;

interface Room {
  readonly bytes: number;
  readonly inodes: number;
  /** Microseconds since the epoch. */
  readonly at: number;
}

/** What the writable snapshots take, measured in the background and at most so often. */
export class SnapshotRoom {
  readonly #kernel: Pick<LayerKernel, "treeUsage">;
  readonly #directory: string;
  #known: Promise<Room> | undefined;
  #begunAt = 0;
  #measuring = false;

  constructor(kernel: Pick<LayerKernel, "treeUsage">, directory: string) {
    this.#kernel = kernel;
    this.#directory = directory;
  }

  /** The last measurement; waits for the first one only. An old one sets off the next. */
  get(): Promise<Room> {
    const known = this.#known;
    if (this.#measuring || (known !== undefined && performance.now() - this.#begunAt < MAX_AGE_MS)) {
      return known ?? this.#begin();
    }
    const next = this.#begin();
    if (known === undefined) return next;
    next.catch(() => {});
    return known;
  }

  #begin(): Promise<Room> {
    this.#measuring = true;
    this.#begunAt = performance.now();
    const before = this.#known;
    const next = this.#measure();
    this.#known ??= next;
    next.then(
      () => {
        this.#known = next;
        this.#measuring = false;
      },
      () => {
        this.#known = before;
        this.#measuring = false;
      },
    );
    return next;
  }

  async #measure(): Promise<Room> {
    const { bytes, inodes } = await usageOf(this.#kernel, this.#directory);
    return { bytes, inodes, at: Date.now() * 1000 };
  }
}
