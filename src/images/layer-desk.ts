// Which layers running pulls rely on. A held layer is not deleted although no image row names it (yet,
// or any more); the last holder to let go decides when that is still so.

import { SharedFlight } from "../lib/single-flight.ts";
import type { Digest } from "../types/ids.ts";
import type { Layer } from "../types/image.ts";

export class LayerDesk {
  /** Layers being fetched, by diff ID: two pulls that need one layer fetch it once. */
  readonly flights = new SharedFlight<Layer>();
  readonly #holders = new Map<Digest, number>();

  hold(diffId: Digest): void {
    this.#holders.set(diffId, (this.#holders.get(diffId) ?? 0) + 1);
  }

  /** True when the caller was the last holder. */
  release(diffId: Digest): boolean {
    const left = (this.#holders.get(diffId) ?? 0) - 1;
    if (left > 0) this.#holders.set(diffId, left);
    else this.#holders.delete(diffId);
    return left <= 0;
  }

  isHeld(diffId: Digest): boolean {
    return this.#holders.has(diffId);
  }
}
