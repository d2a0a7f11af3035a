// Who waits for a container to end.

import type { ExitFacts } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";

export class ExitWaiters {
  readonly #waiting = new Map<ContainerId, Set<(exit: ExitFacts) => void>>();

  /** Calls `tell` once, at the next exit of the container. Returns a function that takes the wish back. */
  subscribe(id: ContainerId, tell: (exit: ExitFacts) => void): () => void {
    const ofContainer = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, ofContainer);
    ofContainer.add(tell);
    return () => {
      ofContainer.delete(tell);
      if (ofContainer.size === 0 && this.#waiting.get(id) === ofContainer) this.#waiting.delete(id);
    };
  }

  /** Tells and forgets everybody who waits for this container. */
  notify(id: ContainerId, exit: ExitFacts): void {
    const ofContainer = this.#waiting.get(id);
    if (ofContainer === undefined) return;
    this.#waiting.delete(id);
    for (const tell of ofContainer) tell(exit);
  }
}
