// When collections run: now and then, after a pull, and when a container went that may have been the last
// user of something. And the check of what is on disk, once after the start.

import type { Call } from "../lib/call.ts";
import { messageOf } from "../lib/errors.ts";
import { findContainer } from "../store/containers.ts";
import { touchImage } from "../store/images.ts";
import type { BerthEvent } from "../types/events.ts";
import type { ContainerId, Micros } from "../types/ids.ts";
import { checkLayers } from "./check-layers.ts";
import { collectImages } from "./collect-images.ts";
import type { ImageDeps } from "./deps.ts";
import { measureLayers } from "./measure-layers.ts";
import { sweepUnfinished } from "./sweep-unfinished.ts";

/** Several events in a row make one collection. */
const SETTLE_MS = 2_000;

export class ImageCollector {
  readonly #deps: ImageDeps;
  readonly #call: Call;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;

  constructor(deps: ImageDeps, call: Call) {
    this.#deps = deps;
    this.#call = { ...call, signal: this.#stopping.signal };
  }

  start(): void {
    this.#timer = setInterval(() => void this.collect(), this.#deps.config.images.gc.intervalMs);
    this.#timer.unref();
    void checkLayers(this.#deps, this.#call);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#stopping.abort();
  }

  onEvent(event: BerthEvent): void {
    if (event.type === "container-created") {
      this.#noteUse(event.containerId, event.at);
    } else if (event.type === "image-pulled") {
      this.#measure();
      this.#collectSoon();
    } else if (event.type === "container-removed") {
      this.#collectSoon();
    }
  }

  /** Of the images that it mounts too: an artifact is never used otherwise. */
  #noteUse(id: ContainerId, at: Micros): void {
    const container = findContainer(this.#deps.store, id);
    if (container === null) return;
    const mounted = container.config.mounts.map(({ image }) => image?.imageRef ?? "");
    for (const used of new Set([container.imageId, ...mounted])) touchImage(this.#deps.store, used, at);
  }

  async collect(): Promise<void> {
    try {
      await sweepUnfinished(this.#deps, this.#call);
      await collectImages(this.#deps, this.#call);
    } catch (error) {
      this.#call.log.error({ error: messageOf(error) }, "collection of images failed");
    }
  }

  /** So that nobody who asks has to wait for it. */
  #measure(): void {
    measureLayers(this.#deps).catch((error: unknown) => {
      this.#call.log.warn({ error: messageOf(error) }, "measure layers failed");
    });
  }

  #collectSoon(): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => void this.collect(), SETTLE_MS);
    this.#soon.unref();
  }
}
