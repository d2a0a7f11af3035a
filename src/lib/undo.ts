// Steps with undo. A verb runs named steps; when one fails, the undo actions of those before it run
// in reverse order, each whatever the others did, and the first error is thrown.

import type { Call } from "./call.ts";
import { messageOf } from "./errors.ts";

export class Steps {
  readonly #verb: string;
  readonly #call: Call;
  readonly #undo: { step: string; run: () => Promise<unknown> | unknown }[] = [];

  constructor(verb: string, call: Call) {
    this.#verb = verb;
    this.#call = call;
  }

  /** Runs one named step. `undo` also runs when the step itself fails half way, so it must be idempotent. */
  async run<T>(
    step: string,
    action: () => Promise<T> | T,
    undo?: (() => Promise<unknown> | unknown) | undefined,
  ): Promise<T> {
    if (undo !== undefined) this.#undo.push({ step, run: undo });
    await this.#call.observeStep(this.#verb, step, "before");
    const result = await action();
    await this.#call.observeStep(this.#verb, step, "after");
    return result;
  }

  /** Undoes everything done so far. Failures are logged: whoever reconciles meets them again. */
  async rollback(): Promise<void> {
    for (const { step, run } of this.#undo.splice(0).reverse()) {
      try {
        await run();
      } catch (error) {
        this.#call.log.error({ verb: this.#verb, step, error: messageOf(error) }, "undo failed");
      }
    }
  }

  /** Nothing is undone any more: the one commit of the verb has happened. */
  commit(): void {
    this.#undo.length = 0;
  }
}

/** Runs `body` with a step list; rolls back when it throws. */
export async function withSteps<T>(verb: string, call: Call, body: (steps: Steps) => Promise<T>): Promise<T> {
  const steps = new Steps(verb, call);
  try {
    const result = await body(steps);
    steps.commit();
    return result;
  } catch (error) {
    await steps.rollback();
    throw error;
  }
}
