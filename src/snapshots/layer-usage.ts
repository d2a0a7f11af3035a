// What containers wrote to their layers. A walk of a big tree takes seconds, so that it happens behind the
// back of those who ask: they get the last result.

import { join } from "node:path";
import type { LayerKernel } from "../kernel/kernel.ts";
import type { Logger } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { inTurns, mapInTurns } from "../lib/turns.ts";
import type { Paths } from "../paths.ts";
import type { LayerSample } from "../types/stats.ts";

/** A result counts for this long, or for as long as 20 such walks take: walks get a twentieth of the time. */
const FRESH_MS = 10_000;
const SHARE = 20;
/** How long the first question about a layer waits for its answer. */
const FIRST_ANSWER_MS = 50;
const FORGET_MS = 300_000;

interface Known {
  sample: LayerSample | null;
  /** performance.now() from which on it is measured anew. */
  due: number;
  askedAt: number;
  walking: Promise<void> | null;
}

export class LayerUsage {
  readonly #deps: {
    readonly kernel: Pick<LayerKernel, "treeUsage">;
    readonly paths: Paths;
    readonly log: Logger;
  };
  readonly #known = new Map<number, Known>();
  /** One walk at a time: they share a disk. */
  #queue: Promise<void> = Promise.resolve();

  constructor(deps: {
    readonly kernel: Pick<LayerKernel, "treeUsage">;
    readonly paths: Paths;
    readonly log: Logger;
  }) {
    this.#deps = deps;
  }

  /** The last result per writable snapshot; null while there is none. */
  async usage(snapshots: readonly number[]): Promise<(LayerSample | null)[]> {
    const now = performance.now();
    const asked = await mapInTurns(snapshots, (snapshot) => this.#ask(snapshot, now));
    const first = asked.filter(({ sample }) => sample === null).map(({ walking }) => walking);
    if (first.length > 0) await soon(Promise.all(first));
    await this.#forget(now);
    return asked.map(({ sample }) => sample);
  }

  #ask(snapshot: number, now: number): Known {
    const known = this.#known.get(snapshot) ?? { sample: null, due: 0, askedAt: now, walking: null };
    this.#known.set(snapshot, known);
    known.askedAt = now;
    if (known.walking === null && known.due <= now) {
      known.walking = this.#queue.then(() => this.#walk(snapshot, known));
      this.#queue = known.walking;
    }
    return known;
  }

  async #walk(snapshot: number, known: Known): Promise<void> {
    const began = performance.now();
    try {
      const { bytes, inodes } = await this.#deps.kernel.treeUsage(this.#upper(snapshot));
      known.sample = { mountpoint: this.#deps.paths.snapshots, at: nowMicros(), bytes, inodes };
    } catch (error) {
      // Removed meanwhile, most often.
      this.#deps.log.debug({ snapshot, error: messageOf(error) }, "measure writable layer");
    }
    const ended = performance.now();
    known.due = ended + Math.max(FRESH_MS, (ended - began) * SHARE);
    known.walking = null;
  }

  #upper(snapshot: number): string {
    return join(this.#deps.paths.snapshot(snapshot), "u");
  }

  async #forget(now: number): Promise<void> {
    await inTurns(this.#known, ([snapshot, { askedAt, walking }]) => {
      if (walking === null && now - askedAt > FORGET_MS) this.#known.delete(snapshot);
    });
  }
}

async function soon(promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FIRST_ANSWER_MS);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}
