// Whatever a benchmark makes on the host is undone in reverse order, also after a failure or a signal.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Runs a program to its end and returns its standard output. Rejects with what it printed on failure. */
export async function runProgram(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

export class Cleanup {
  readonly #steps: { what: string; step: () => unknown }[] = [];

  /** `step` runs once, after those added later. */
  add(what: string, step: () => unknown): void {
    this.#steps.push({ what, step });
  }

  /** Runs all of the steps, although some fail, and returns what failed. */
  async run(): Promise<string[]> {
    const problems: string[] = [];
    for (let next = this.#steps.pop(); next !== undefined; next = this.#steps.pop()) {
      try {
        await next.step();
      } catch (error) {
        problems.push(`${next.what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return problems;
  }
}

/** Aborted by the first signal; later ones do not disturb the clean-up. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => controller.abort(new Error(`interrupted by ${signal}`)));
  }
  return controller.signal;
}

/** The whole of a benchmark program: help, or the work, and at its end, however it ends, the cleaning up. */
export async function runBench<Options extends { readonly help: boolean }>(
  usage: string,
  readOptions: () => Options,
  bench: (options: Options, cleanup: Cleanup, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const cleanup = new Cleanup();
  try {
    const options = readOptions();
    if (options.help) process.stdout.write(usage);
    else await bench(options, cleanup, abortOnSignal());
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
  for (const problem of await cleanup.run()) {
    console.error(`bench: clean up: ${problem}`);
    process.exitCode = 1;
  }
}
