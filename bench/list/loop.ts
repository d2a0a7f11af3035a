// What the daemon's event loop went through (see watch-loop.mjs).

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds by which a timer of 1 ms came late. */
export interface LoopDelays {
  /** The worst. */
  readonly late: number;
  /** The worst without the time in which other processes had the processors. */
  readonly own: number;
  readonly p99: number;
}

export class WatchedLoop {
  readonly #file: string;
  pid = 0;

  constructor(folder: string) {
    this.#file = join(folder, "loop.json");
  }

  get nodeOptions(): string[] {
    return ["--import", join(import.meta.dirname, "watch-loop.mjs")];
  }

  get env(): NodeJS.ProcessEnv {
    return { BERTH_LOOP_FILE: this.#file };
  }

  /** Since the last call. */
  async delays(): Promise<LoopDelays> {
    rmSync(this.#file, { force: true });
    process.kill(this.pid, "SIGUSR2");
    while (!existsSync(this.#file)) await sleep(5);
    await sleep(20);
    return JSON.parse(readFileSync(this.#file, "utf8")) as LoopDelays;
  }
}
