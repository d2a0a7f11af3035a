// One-time tokens: each stands for one target, is used once, and lives a minute.

import { createHash, randomBytes } from "node:crypto";
import { BerthError } from "../lib/errors.ts";

export const TOKEN_LIFETIME_MS = 60_000;
/** As many as the peers keep. */
export const MAX_PENDING = 1000;
const TOKEN_BYTES = 24;

interface Pending<Target> {
  readonly target: Target;
  readonly timer: NodeJS.Timeout;
}

/**
 * Tokens are kept and found by their SHA-256: how long a look-up takes tells nothing about those that are
 * pending, and a dump of the daemon's memory holds no usable one.
 */
export class TokenDesk<Target> {
  readonly #pending = new Map<string, Pending<Target>>();
  readonly #lifetimeMs: number;

  constructor(lifetimeMs = TOKEN_LIFETIME_MS) {
    this.#lifetimeMs = lifetimeMs;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** RESOURCE_EXHAUSTED when MAX_PENDING tokens wait to be used. */
  issue(target: Target): string {
    if (this.#pending.size >= MAX_PENDING) {
      throw new BerthError(
        "RESOURCE_EXHAUSTED",
        `issue a streaming URL: ${MAX_PENDING} of them wait to be used; each lives a minute, try again then`,
      );
    }
    const token = randomBytes(TOKEN_BYTES).toString("base64url");
    const key = keyOf(token);
    const timer = setTimeout(() => this.#pending.delete(key), this.#lifetimeMs);
    timer.unref();
    this.#pending.set(key, { target, timer });
    return token;
  }

  /** The target of a token, which is used up by this; null for one that is unknown, used or too old. */
  redeem(token: string): Target | null {
    const key = keyOf(token);
    const pending = this.#pending.get(key);
    if (pending === undefined) return null;
    clearTimeout(pending.timer);
    this.#pending.delete(key);
    return pending.target;
  }

  clear(): void {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }
}

function keyOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
