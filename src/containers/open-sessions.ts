// How many clients read a pod's containers right now. A pod that removes itself waits for them.

import type { StreamSession } from "../monitor/monitor.ts";
import type { PodId } from "../types/ids.ts";

export class OpenSessions {
  readonly #open = new Map<PodId, number>();
  readonly #idle = new Map<PodId, (() => void)[]>();

  /** Counts the session until it ends. */
  add(podId: PodId, session: StreamSession): void {
    this.#open.set(podId, (this.#open.get(podId) ?? 0) + 1);
    const end = () => this.#end(podId);
    session.exited.then(end, end);
  }

  #end(podId: PodId): void {
    const left = (this.#open.get(podId) ?? 1) - 1;
    if (left > 0) {
      this.#open.set(podId, left);
      return;
    }
    this.#open.delete(podId);
    for (const tell of this.#idle.get(podId) ?? []) tell();
    this.#idle.delete(podId);
  }

  /** Resolves when nobody reads the pod's containers. */
  whenIdle(podId: PodId): Promise<void> {
    if (!this.#open.has(podId)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.set(podId, [...(this.#idle.get(podId) ?? []), resolve]);
    });
  }
}
