// One publisher, many subscribers: how news goes up.

import type { Logger } from "./call.ts";
import { messageOf } from "./errors.ts";

export class EventHub<T> {
  readonly #subscribers = new Set<(event: T) => void>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Tells everybody, in order of subscription. A subscriber that throws harms nobody else. */
  readonly publish = (event: T): void => {
    for (const tell of [...this.#subscribers]) {
      try {
        tell(event);
      } catch (error) {
        this.#log.error({ error: messageOf(error) }, "subscriber of events failed");
      }
    }
  };

  /** Returns a function that ends the subscription. */
  subscribe(tell: (event: T) => void): () => void {
    this.#subscribers.add(tell);
    return () => this.#subscribers.delete(tell);
  }
}
