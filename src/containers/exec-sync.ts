import type { Call } from "../lib/call.ts";
import { throwIfAborted } from "../lib/call.ts";
import { MAX_TIMER_MS, within } from "../lib/deadline.ts";
import { BerthError } from "../lib/errors.ts";
import type { StreamSession } from "../monitor/monitor.ts";
import type { ContainerId } from "../types/ids.ts";
import type { ContainerDeps } from "./deps.ts";
import { openExec } from "./open-exec.ts";

/**
 * What is kept of both streams together; the rest is dropped and the command goes on (CRI, ExecSync). Clients
 * take answers of 16 MiB: one that is larger would tell them nothing at all.
 */
export const MAX_OUTPUT_BYTES = 16 * 1024 * 1024 - 64 * 1024;

/** How long killed processes may take before the time-out is answered without them. */
const KILL_TIMEOUT_MS = 5_000;

export interface ExecOutcome {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
}

/**
 * Runs a command in a RUNNING container to its end. `timeoutSeconds` 0 means none. On a time-out, and when
 * the client leaves, the command and all of its children are killed before DEADLINE_EXCEEDED is thrown.
 */
export async function execSync(
  deps: ContainerDeps,
  call: Call,
  id: ContainerId,
  argv: readonly string[],
  timeoutSeconds: number,
): Promise<ExecOutcome> {
  const doing = `exec in container "${id}"`;
  const session = await openExec(deps, call, id, { argv, tty: false, stdin: false, rows: 0, columns: 0 });
  const stdout = new CappedOutput();
  const stderr = new CappedOutput();
  session.onStdout = (chunk) => stdout.add(chunk);
  session.onStderr = (chunk) => stderr.add(chunk);
  const ended = await exitWithin(session, timeoutSeconds, call.signal);
  if (ended !== null) return { ...fitting(stdout.take(), stderr.take()), exitCode: ended.exitCode };
  session.close();
  // `exited` tells that the processes are gone; that they ended in an error is what was wanted.
  const gone = session.exited.then(
    () => {},
    () => {},
  );
  await within(KILL_TIMEOUT_MS, `${doing}: kill the command`, gone);
  throwIfAborted(call, doing);
  throw new BerthError(
    "DEADLINE_EXCEEDED",
    `${doing}: command "${argv[0]}" timed out after ${timeoutSeconds} s and was killed`,
  );
}

/** How the command ended, or null when the time passed or the client left first. */
async function exitWithin(
  session: StreamSession,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<{ exitCode: number } | null> {
  let timer: NodeJS.Timeout | undefined;
  let leave: () => void = () => {};
  const over = new Promise<null>((resolve) => {
    leave = () => resolve(null);
    if (timeoutSeconds > 0) timer = setTimeout(leave, Math.min(timeoutSeconds * 1000, MAX_TIMER_MS));
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([session.exited, over]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
  }
}

/** Where both are long, each keeps half. */
function fitting(stdout: Buffer, stderr: Buffer): { stdout: Buffer; stderr: Buffer } {
  const half = MAX_OUTPUT_BYTES / 2;
  return {
    stdout: stdout.subarray(0, MAX_OUTPUT_BYTES - Math.min(stderr.length, half)),
    stderr: stderr.subarray(0, MAX_OUTPUT_BYTES - Math.min(stdout.length, half)),
  };
}

class CappedOutput {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    const room = MAX_OUTPUT_BYTES - this.#bytes;
    if (room <= 0) return;
    const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
    this.#bytes += kept.length;
    this.#chunks.push(kept);
  }

  take(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#bytes);
  }
}
