// Which layers, by diff ID, and which kept blobs running work relies on. What is held is not deleted although
// no image row names it (yet, or any more); the last holder to let go decides when that is still so.

import { SharedFlight } from "../lib/single-flight.ts";
import type { Digest } from "../types/ids.ts";
import type { Layer } from "../types/image.ts";

export class LayerDesk {
  /** Layers being fetched, by diff ID: two pulls that need one layer fetch it once. */
  readonly flights = new SharedFlight<Layer>();
  readonly #holders = new Map<Digest, number>();

  hold(digest: Digest): void {
    this.#holders.set(digest, (this.#holders.get(digest) ?? 0) + 1);
  }

  /** True when the caller was the last holder. */
  release(digest: Digest): boolean {
    const left = (this.#holders.get(digest) ?? 0) - 1;
    if (left > 0) this.#holders.set(digest, left);
    else this.#holders.delete(digest);
    return left <= 0;
  }

  isHeld(digest: Digest): boolean {
    return this.#holders.has(digest);
  }
}
