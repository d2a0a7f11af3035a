// The monitors that the daemon is connected to.

import type { PodId } from "../types/ids.ts";
import type { Monitor } from "./monitor.ts";

export class MonitorRegistry {
  readonly #monitors = new Map<PodId, Monitor>();

  get(id: PodId): Monitor | undefined {
    return this.#monitors.get(id);
  }

  set(id: PodId, monitor: Monitor): void {
    this.#monitors.set(id, monitor);
  }

  /** Forgets the connection without closing it. */
  delete(id: PodId): void {
    this.#monitors.delete(id);
  }

  /** Drops every connection: the daemon ends, the monitors go on. */
  closeAll(): void {
    for (const monitor of this.#monitors.values()) monitor.close();
    this.#monitors.clear();
  }
}
