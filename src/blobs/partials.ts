// Blobs that have come in part: kept so that the next try, also of the next daemon, goes on where this one
// stopped. A cache: any of them may be removed at any time, and the digest of the whole tells whether one was
// good.

import { mkdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { isOld } from "../lib/clock.ts";
import { errnoOf } from "../lib/errors.ts";
import { namesIn } from "../lib/optional-file.ts";
import type { Paths } from "../paths.ts";
import type { Digest } from "../types/ids.ts";

export interface PartialLimits {
  /** Of all that nobody is downloading; the least recently used go first. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

export interface PartialLease {
  readonly path: string;
  /** Removes the file: it is complete, or good for nothing. */
  drop(): Promise<void>;
  /** Leaves it for the next try. */
  release(): void;
}

/** When the configuration does not say. */
export const defaultLimits: PartialLimits = { maxBytes: 10 * 1024 ** 3, maxAgeMs: 24 * 3600 * 1000 };

const namePattern = /^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})$/;

const nameOf = (digest: Digest) => digest.replace(":", "-");

export class Partials {
  readonly #directory: string;
  readonly #limits: PartialLimits;
  readonly #leased = new Set<string>();

  constructor(paths: Pick<Paths, "partials">, limits: PartialLimits) {
    this.#directory = paths.partials;
    this.#limits = limits;
  }

  /** The blob's file, for one at a time: null while somebody else has it. It need not exist yet. */
  async lease(digest: Digest): Promise<PartialLease | null> {
    const name = nameOf(digest);
    if (!namePattern.test(name) || this.#leased.has(name)) return null;
    this.#leased.add(name);
    const path = join(this.#directory, name);
    const release = () => void this.#leased.delete(name);
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await touch(path);
    } catch (error) {
      release();
      throw error;
    }
    return { path, release, drop: () => rm(path, { force: true }) };
  }

  /** Removes the blob's file unless somebody is downloading it. */
  async forget(digest: Digest): Promise<void> {
    const name = nameOf(digest);
    if (namePattern.test(name) && !this.#leased.has(name))
      await rm(join(this.#directory, name), { force: true });
  }

  /**
   * Removes what is too old, then the oldest until the rest fits. Returns how many. `all`: every one;
   * `maxAgeMs`: when that is less than the limit; `done`: also these, which somebody has had to the end.
   */
  async sweep({
    all = false,
    maxAgeMs = Number.POSITIVE_INFINITY,
    done = [],
  }: {
    all?: boolean;
    maxAgeMs?: number | undefined;
    done?: readonly Digest[];
  } = {}): Promise<number> {
    const complete = new Set(done.map(nameOf));
    const maxAge = Math.min(maxAgeMs, this.#limits.maxAgeMs) * 1000;
    const idle = await this.#idle();
    idle.sort((a, b) => b.usedAt - a.usedAt);
    let bytes = 0;
    const doomed = idle.filter((file) => {
      bytes += file.bytes;
      const old = isOld(file.usedAt * 1000, maxAge) || complete.has(file.name);
      return all || old || !namePattern.test(file.name) || bytes > this.#limits.maxBytes;
    });
    for (const { name } of doomed) {
      if (!this.#leased.has(name)) await rm(join(this.#directory, name), { recursive: true, force: true });
    }
    return doomed.length;
  }

  async #idle(): Promise<{ name: string; bytes: number; usedAt: number }[]> {
    const files = (await namesIn(this.#directory))
      .filter((name) => !this.#leased.has(name))
      .map(async (name) => {
        const facts = await stat(join(this.#directory, name)).catch(() => null);
        if (facts === null) return [];
        // One that an artifact's layer was given has that file's mode and time.
        const usedAt = (facts.mode & 0o044) === 0 ? facts.mtimeMs : facts.ctimeMs;
        return [{ name, bytes: facts.blocks * 512, usedAt }];
      });
    return (await Promise.all(files)).flat();
  }
}

/** Its age counts from the last time that somebody wanted it. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch((error: unknown) => {
    if (errnoOf(error) !== "ENOENT") throw error;
  });
}
