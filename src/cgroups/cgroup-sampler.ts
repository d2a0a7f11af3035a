// Samples of cgroups: one sweep of the kernel answers all who ask at a time, and for a short while after.

import type { StatsDepth, StatsKernel } from "../kernel/kernel.ts";
import { filterInTurns, inTurns, mapInTurns } from "../lib/turns.ts";
import type { Micros } from "../types/ids.ts";
import type { CgroupSample } from "../types/stats.ts";
import { decodeSample, type RawSample } from "./decode-sample.ts";

/** Clients poll every few seconds; those that ask twice within this get the same answer. */
const FRESH_MS = 500;
/** A rate over less time than this says little: the earlier sample then stays the one to compare with. */
const SHORTEST_RATE_MICROS = 1_000_000;
/** Cgroups that nobody asked for so long are forgotten. */
const FORGET_MS = 300_000;
/** Cgroups per look: their paths and numbers go through the event loop. */
const AT_ONCE = 256;

export interface SampleWish {
  readonly path: string;
  readonly depth: StatsDepth;
  /** When its processes began: what a first rate is computed over. null: not yet. */
  readonly since: Micros | null;
}

interface Known {
  sample: CgroupSample | null;
  depth: StatsDepth;
  /** performance.now() of the last sweep, and of the last question. */
  takenAt: number;
  askedAt: number;
  /** What the next rate is computed from. */
  base: { usageMicros: number; monotonicMicros: number } | null;
}

export class CgroupSampler {
  readonly #kernel: Pick<StatsKernel, "readStats">;
  readonly #known = new Map<string, Known>();
  #sweeping: Promise<void> = Promise.resolve();
  #forgotAt = 0;

  constructor(kernel: Pick<StatsKernel, "readStats">) {
    this.#kernel = kernel;
  }

  /** One sample per wish, null for cgroups that are not there. */
  async sample(wishes: readonly SampleWish[]): Promise<(CgroupSample | null)[]> {
    // One sweep at a time: who comes while one runs finds there what it left.
    const sweep = this.#sweeping.then(() => this.#sweep(wishes));
    this.#sweeping = sweep.catch(() => {});
    await sweep;
    return await mapInTurns(wishes, ({ path }) => this.#known.get(path)?.sample ?? null);
  }

  async #sweep(wishes: readonly SampleWish[]): Promise<void> {
    const now = performance.now();
    const stale = await filterInTurns(wishes, (wish) => !this.#isFresh(wish, now));
    for (let start = 0; start < stale.length; start += AT_ONCE) {
      const some = stale.slice(start, start + AT_ONCE);
      const reading = await this.#kernel.readStats(some);
      await inTurns(some.entries(), ([index, wish]) => this.#keep(wish, decodeSample(reading, index), now));
    }
    await inTurns(wishes, ({ path }) => {
      const known = this.#known.get(path);
      if (known !== undefined) known.askedAt = now;
    });
    if (now - this.#forgotAt < FORGET_MS) return;
    this.#forgotAt = now;
    await inTurns(this.#known, ([path, known]) => {
      if (now - known.askedAt > FORGET_MS) this.#known.delete(path);
    });
  }

  #isFresh({ path, depth }: SampleWish, now: number): boolean {
    const known = this.#known.get(path);
    return known !== undefined && known.depth >= depth && now - known.takenAt < FRESH_MS;
  }

  #keep(wish: SampleWish, raw: RawSample | null, takenAt: number): void {
    const before = this.#known.get(wish.path);
    if (raw === null) {
      // It is gone, or not there yet: nothing to remember.
      this.#known.delete(wish.path);
      return;
    }
    const base = before?.base ?? beginning(wish, raw);
    const elapsed = raw.monotonicMicros - base.monotonicMicros;
    const used = raw.cpu.usageMicros - base.usageMicros;
    const sample: CgroupSample = {
      ...raw,
      nanoCores: elapsed > 0 ? Math.max(0, Math.round((used / elapsed) * 1e9)) : 0,
      hugepages: peaks(raw, before?.sample ?? null),
    };
    const { usageMicros } = raw.cpu;
    const next =
      elapsed >= SHORTEST_RATE_MICROS ? { usageMicros, monotonicMicros: raw.monotonicMicros } : base;
    this.#known.set(wish.path, { sample, depth: wish.depth, takenAt, askedAt: takenAt, base: next });
  }
}

/** A cgroup's processes have used nothing when they begin. */
function beginning({ since }: SampleWish, raw: RawSample) {
  const age = since === null ? 0 : Math.max(0, raw.at - since);
  return { usageMicros: 0, monotonicMicros: raw.monotonicMicros - age };
}

function peaks(raw: RawSample, before: CgroupSample | null): CgroupSample["hugepages"] {
  return new Map(
    [...raw.hugepages].map(([size, bytes]) => {
      const most = Math.max(bytes, before?.hugepages.get(size)?.most ?? 0);
      return [size, { bytes, most }];
    }),
  );
}
