// Where the time went: one phase at any moment, so that the phases add up to the whole.

import { nowMicros } from "../lib/clock.ts";
import type { PhaseTime, PullPhase } from "../types/pull.ts";

interface Entry {
  readonly beganAt: number;
  endedAt: number;
  active: number;
}

export class Timeline {
  readonly #phases = new Map<PullPhase, Entry>();
  #current: PullPhase | undefined;
  #entered = 0;

  get current(): PullPhase | undefined {
    return this.#current;
  }

  /** Ends the phase before. Cheap enough to be called for every piece of a layer. */
  enter(phase: PullPhase): void {
    if (phase === this.#current) return;
    const now = performance.now();
    this.#leave(now);
    this.#current = phase;
    this.#entered = now;
    if (!this.#phases.has(phase)) this.#phases.set(phase, { beganAt: nowMicros(), endedAt: 0, active: 0 });
  }

  end(): void {
    this.#leave(performance.now());
    this.#current = undefined;
  }

  /** So far. */
  phases(): PhaseTime[] {
    return [...this.#phases].map(([phase, { beganAt, endedAt, active }]) => {
      const running = phase === this.#current;
      const more = running ? performance.now() - this.#entered : 0;
      const activeMicros = Math.round((active + more) * 1000);
      return { phase, beganAt, endedAt: running ? 0 : endedAt, activeMicros };
    });
  }

  #leave(now: number): void {
    const entry = this.#current === undefined ? undefined : this.#phases.get(this.#current);
    if (entry === undefined) return;
    entry.active += now - this.#entered;
    entry.endedAt = nowMicros();
  }
}
