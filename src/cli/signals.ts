// Signals that end other programs go to the container's process while the command waits for it.

import { constants } from "node:os";
import { messageOf } from "../lib/errors.ts";
import type { Channel } from "./client/channel.ts";
import * as methods from "./client/methods.ts";
import { RpcError } from "./client/rpc-error.ts";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT"] as const;

/** Forwards signals to the container until the returned function is called. */
export function forwardSignals(
  channel: Channel,
  containerId: string,
  complain: (message: string) => void,
): () => void {
  const forward = (name: NodeJS.Signals) => {
    channel
      .unary(methods.signalContainer, { containerId, signal: constants.signals[name] })
      .catch((error) => {
        // It has just ended: the exit is on its way.
        const gone = error instanceof RpcError && ["FAILED_PRECONDITION", "NOT_FOUND"].includes(error.code);
        if (!gone) complain(`pass ${name} on: ${messageOf(error)}`);
      });
  };
  for (const name of FORWARDED) process.on(name, forward);
  return () => {
    for (const name of FORWARDED) process.off(name, forward);
  };
}

/** Whether the user asked to stop while a container was being made. */
export class Interruption {
  #signal: NodeJS.Signals | null = null;
  readonly #note = (name: NodeJS.Signals) => {
    this.#signal ??= name;
  };

  constructor() {
    process.on("SIGINT", this.#note);
    process.on("SIGTERM", this.#note);
  }

  /** Exit code for the signal that came, or null. */
  get exitCode(): number | null {
    return this.#signal === null ? null : 128 + constants.signals[this.#signal];
  }

  end(): void {
    process.off("SIGINT", this.#note);
    process.off("SIGTERM", this.#note);
  }
}
