// What a pull tells those who watch it, and what is remembered of it. A caller that joins a running pull
// watches it as well.

import type { Digest, ImageId } from "../types/ids.ts";
import type { PullRecord } from "../types/pull.ts";
import { PullRecorder } from "./pull-recorder.ts";

/** Where one layer of a pull is. "resolve" and the last "commit" are the whole pull's: `layer` is then "". */
export interface PullProgress {
  readonly layer: Digest;
  readonly phase: "resolve" | "wait" | "download" | "unpack" | "sync" | "commit" | "done";
  /** Bytes of the compressed layer that are here, and its whole size. */
  readonly bytes: number;
  readonly total: number;
  /** Bytes per second lately; 0 when nothing comes. */
  readonly rate: number;
  /** Origin of the host that it comes from, and how often the transfer broke. */
  readonly host: string;
  readonly retries: number;
}

export type ProgressListener = (progress: PullProgress) => void;

/** Pulls that have ended and are still told of. */
const maxHistory = 64;

interface Watched {
  readonly recorder: PullRecorder;
  readonly latest: Map<Digest, PullProgress>;
}

export class ProgressBoard {
  readonly #listeners = new Map<string, Set<ProgressListener>>();
  readonly #running = new Map<string, Watched>();
  readonly #history: PullRecord[] = [];
  #lastId = 0;

  /** Watches the pull `key`; what it has told so far is repeated at once. Returns how to stop. */
  watch(key: string, listener: ProgressListener | undefined): () => void {
    if (listener === undefined) return () => {};
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    for (const progress of this.#running.get(key)?.latest.values() ?? []) listener(progress);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(key);
    };
  }

  /** The pull `key` begins. */
  begin(key: string, image: string): PullRecorder {
    const latest = new Map<Digest, PullProgress>();
    const recorder = new PullRecorder(++this.#lastId, image, (progress) => {
      latest.set(progress.layer, progress);
      for (const listener of this.#listeners.get(key) ?? []) listener(progress);
    });
    this.#running.set(key, { recorder, latest });
    return recorder;
  }

  /** The pull is over. Returns its record. */
  end(key: string, recorder: PullRecorder, outcome: { imageId: ImageId } | { error: string }): PullRecord {
    if (this.#running.get(key)?.recorder === recorder) this.#running.delete(key);
    recorder.end(outcome);
    const record = recorder.record();
    this.#history.unshift(record);
    this.#history.length = Math.min(this.#history.length, maxHistory);
    return record;
  }

  /** Running pulls and the last ones that ended, the youngest first. */
  records(): PullRecord[] {
    const running = [...this.#running.values()].map(({ recorder }) => recorder.record());
    return [...running, ...this.#history].sort((a, b) => b.id - a.id);
  }
}
