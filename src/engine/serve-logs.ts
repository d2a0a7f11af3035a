// The Logs call: finds the container's log file, and knows when a follower has seen all of it.

import { type FSWatcher, watch } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { containerStatus } from "../containers/container-status.ts";
import { waitContainer } from "../containers/wait-container.ts";
import type { LogsRequest, LogsResponse } from "../gen/berth/v1/engine.ts";
import type { Call, Logger } from "../lib/call.ts";
import { BerthError, messageOf } from "../lib/errors.ts";
import type { EngineDeps } from "./deps.ts";
import { readLogs } from "./read-logs.ts";

/** Also looked at this often, in milliseconds: some file systems tell nobody of changes. */
const LOOK_AGAIN = 1000;

/** Sends the log records of a container that `request` chooses. */
export async function serveLogs(
  deps: EngineDeps,
  call: Call,
  request: LogsRequest,
  send: (response: LogsResponse) => Promise<void>,
): Promise<void> {
  const container = containerStatus(deps, request.containerId);
  if (container.logPath === "") {
    throw new BerthError("FAILED_PRECONDITION", `read logs of container "${container.id}": it keeps no log`);
  }
  const bell = new Bell(request.follow ? dirname(container.logPath) : null, call.signal, call.log);
  const state = stateOfContainer(container);
  let ended = state !== "RUNNING" && state !== "CREATED";
  const over = new AbortController();
  const done = () => {
    ended = true;
    bell.ring();
  };
  if (request.follow && !ended) {
    const waiting: Call = { ...call, signal: AbortSignal.any([call.signal, over.signal]) };
    // A container that is removed meanwhile writes no more either.
    waitContainer(deps, waiting, container.id).then(done, done);
  }
  try {
    // A container that never ran has written nothing, and may have no file yet.
    const isThere = () =>
      access(container.logPath).then(
        () => true,
        () => false,
      );
    while (request.follow && !ended && !call.signal.aborted && !(await isThere())) await bell.wait();
    if (containerStatus(deps, container.id).startedAt === null && !(await isThere())) return;
    const reader = readLogs(container.logPath, {
      follow: request.follow,
      tail: request.tail,
      sinceNs: request.sinceNs,
      ended: () => ended,
      wait: () => bell.wait(),
      signal: call.signal,
    });
    for (;;) {
      const step = await reader.next();
      if (step.done) {
        if (step.value > 0) call.log.warn({ path: container.logPath, lines: step.value }, "lines left out");
        return;
      }
      await send({ records: step.value });
    }
  } finally {
    over.abort();
    bell.close();
  }
}

/** Rings when a file of the directory changes, when it is told to, and every so often. */
class Bell {
  #watcher: FSWatcher | null = null;
  #rung = false;
  #answer: (() => void) | null = null;

  constructor(directory: string | null, signal: AbortSignal, log: Logger) {
    signal.addEventListener("abort", () => this.ring(), { once: true });
    if (directory === null) return;
    try {
      this.#watcher = watch(directory, { persistent: false }, () => this.ring());
      // The directory went away: the timer still looks.
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch (error) {
      log.warn(
        { directory, error: messageOf(error) },
        "cannot watch the log directory, looking once a second",
      );
    }
  }

  ring(): void {
    this.#rung = true;
    this.#answer?.();
  }

  async wait(): Promise<void> {
    if (!this.#rung) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#answer = resolve;
        timer = setTimeout(resolve, LOOK_AGAIN);
      });
      clearTimeout(timer);
      this.#answer = null;
    }
    this.#rung = false;
  }

  close(): void {
    this.#watcher?.close();
  }
}
