// What a pull tells those who watch it. A caller that joins a running pull watches it as well.

import type { Digest } from "../types/ids.ts";

/** Where one layer of a pull is. "resolve" has no layer yet: `layer` is then "". */
export interface PullProgress {
  readonly layer: Digest;
  readonly phase: "resolve" | "wait" | "download" | "unpack" | "sync" | "commit" | "done";
  /** Bytes of the compressed layer that have arrived, and its whole size. */
  readonly bytes: number;
  readonly total: number;
}

export type ProgressListener = (progress: PullProgress) => void;

export class ProgressBoard {
  readonly #listeners = new Map<string, Set<ProgressListener>>();
  readonly #latest = new Map<string, Map<Digest, PullProgress>>();

  /** Watches the pull `key`; what it has told so far is repeated at once. Returns how to stop. */
  watch(key: string, listener: ProgressListener | undefined): () => void {
    if (listener === undefined) return () => {};
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    for (const progress of this.#latest.get(key)?.values() ?? []) listener(progress);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(key);
    };
  }

  tell(key: string, progress: PullProgress): void {
    const latest = this.#latest.get(key) ?? new Map<Digest, PullProgress>();
    this.#latest.set(key, latest.set(progress.layer, progress));
    for (const listener of this.#listeners.get(key) ?? []) listener(progress);
  }

  /** The pull is over. */
  forget(key: string): void {
    this.#latest.delete(key);
  }
}
