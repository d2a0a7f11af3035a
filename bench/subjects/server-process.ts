// A server that the benchmark starts, waits for and ends.

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cleanup } from "../run/cleanup.ts";

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 15_000;

export interface ServerCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly socket: string;
  readonly log: string;
  readonly env?: NodeJS.ProcessEnv;
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection({ path: socket });
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => resolve(false));
  });
}

/** Ends a child with SIGTERM, after a while with SIGKILL. */
async function stop(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(late);
}

/** Resolves with the process when it accepts connections; adds its end to the clean-up. */
export async function startServer(cleanup: Cleanup, server: ServerCommand): Promise<ChildProcess> {
  const { name, command, args, socket } = server;
  const log = openSync(server.log, "a");
  // A group of its own: Ctrl-C reaches only the benchmark, which then removes everything in order.
  const options: SpawnOptions = { cwd: "/", env: server.env, stdio: ["ignore", log, log], detached: true };
  const child = spawn(command, args, options);
  closeSync(log);
  cleanup.add(`stop ${name}`, () => stop(child));
  let failure: Error | null = null;
  child.once("error", (error) => {
    failure = error;
  });
  const tail = () => readFileSync(server.log, "utf8").trim().split("\n").slice(-15).join("\n");
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!(await answers(socket))) {
    if (failure !== null) throw new Error(`start ${name}: ${(failure as Error).message}`);
    if (!isRunning(child))
      throw new Error(`${name} ended (${child.exitCode ?? child.signalCode}):\n${tail()}`);
    if (Date.now() > deadline) throw new Error(`${name} did not listen in time:\n${tail()}`);
    await sleep(10);
  }
  return child;
}
