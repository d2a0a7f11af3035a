// What every CRI call goes through: it gets its Call, its errors become statuses, and it is logged once.

import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerUnaryCall,
  status,
} from "@grpc/grpc-js";
import type { Call, Logger, StepObserver } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { failureOf, type RpcFailure } from "./status-code.ts";

/** How long a request may be under way, on a busy machine. */
const TRANSIT_MS = 250;

/** What calls of either kind have in common. */
type Rpc = Pick<ServerUnaryCall<unknown, unknown>, "getPath" | "getDeadline"> & NodeJS.EventEmitter;

export interface Surroundings {
  readonly log: Logger;
  readonly observeStep?: StepObserver | undefined;
}

/** Serves one request with one answer. */
export function unary<Request, Response>(
  surroundings: Surroundings,
  handler: (call: Call, request: Request) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return async (rpc, answer) => {
    const running = new RunningCall(surroundings, rpc, rpc.request);
    try {
      const response = await handler(running.call, rpc.request);
      running.succeeded();
      answer(null, response);
    } catch (error) {
      answer(running.failed(error));
    }
  };
}

/** Serves one request with what `handler` gives one by one, asked for no faster than the client reads. */
export function serverStream<Request, Response>(
  surroundings: Surroundings,
  handler: (call: Call, request: Request) => Iterable<Response> | AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return async (rpc) => {
    const running = new RunningCall(surroundings, rpc, rpc.request);
    try {
      for await (const response of handler(running.call, rpc.request)) {
        if (!rpc.write(response)) await drained(rpc, running.call.signal);
        if (running.call.signal.aborted) throw running.call.signal.reason;
      }
      running.succeeded();
      rpc.end();
    } catch (error) {
      // grpc-js sends what an "error" event carries as the status of the stream.
      rpc.emit("error", running.failed(error));
    }
  };
}

/** Resolves when `rpc` takes more, or when nobody reads it any more. */
function drained(rpc: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      rpc.off("drain", go);
      signal.removeEventListener("abort", go);
      resolve();
    };
    rpc.on("drain", go);
    signal.addEventListener("abort", go);
    if (signal.aborted) go();
  });
}

class RunningCall {
  readonly call: Call;
  readonly #method: string;
  readonly #log: Logger;
  readonly #started = performance.now();
  #ended = false;

  constructor(surroundings: Surroundings, rpc: Rpc, request: unknown) {
    this.#method = rpc.getPath().slice(rpc.getPath().lastIndexOf("/") + 1);
    this.#log = childLogger(surroundings.log, { method: this.#method, ...subjectOf(request) });
    const controller = new AbortController();
    // grpc-js answers DEADLINE_EXCEEDED by itself and then cancels: both arrive as this event.
    rpc.on("cancelled", () => {
      if (!this.#ended) controller.abort(reasonOfCancel(rpc, this.#method));
    });
    this.call = {
      signal: controller.signal,
      log: this.#log,
      observeStep: surroundings.observeStep ?? (() => {}),
    };
  }

  succeeded(): void {
    this.#ended = true;
    this.#log.debug({ ms: this.#milliseconds() }, "call done");
  }

  failed(error: unknown): RpcFailure & Error {
    this.#ended = true;
    const failure = failureOf(this.#method, error);
    const fields = { ms: this.#milliseconds(), code: status[failure.code], error: failure.details };
    // The stack of what nobody foresaw is all there is to find it by.
    const unforeseen = error instanceof BerthError ? {} : { stack: (error as Error | null)?.stack };
    this.#log[levelOf(failure.code)]({ ...fields, ...unforeseen }, "call failed");
    return Object.assign(new Error(failure.details), failure);
  }

  #milliseconds(): number {
    return Math.round(performance.now() - this.#started);
  }
}

function reasonOfCancel(rpc: Rpc, method: string): BerthError {
  // Counted from the request's arrival: the client's own ends that much earlier.
  const passed = Number(rpc.getDeadline()) <= Date.now() + TRANSIT_MS;
  return passed
    ? new BerthError("DEADLINE_EXCEEDED", `${method}: the client's deadline passed`)
    : new BerthError("CANCELLED", `${method}: the client went away`);
}

/** What clients ask for as a matter of course is no news: the status of what is gone, calls not built. */
function levelOf(code: status): "debug" | "info" | "warn" | "error" {
  switch (code) {
    case status.NOT_FOUND:
    case status.UNIMPLEMENTED:
      return "debug";
    case status.CANCELLED:
    case status.DEADLINE_EXCEEDED:
      return "info";
    case status.INTERNAL:
    case status.DATA_LOSS:
      return "error";
    default:
      return "warn";
  }
}

/** Adds `fields` to every line. */
function childLogger(log: Logger, fields: object): Logger {
  return {
    debug: (more, message) => log.debug({ ...fields, ...more }, message),
    info: (more, message) => log.info({ ...fields, ...more }, message),
    warn: (more, message) => log.warn({ ...fields, ...more }, message),
    error: (more, message) => log.error({ ...fields, ...more }, message),
  };
}

/** What a request is about, for the log. Only these: requests also carry environments and credentials. */
function subjectOf(request: unknown): object {
  const { podSandboxId, containerId, image, config } = request as {
    podSandboxId?: string;
    containerId?: string;
    image?: { image?: string };
    config?: { metadata?: { name?: string; namespace?: string } };
  };
  const metadata = config?.metadata;
  return {
    ...(podSandboxId ? { pod: podSandboxId } : {}),
    ...(containerId ? { container: containerId } : {}),
    ...(image?.image ? { image: image.image } : {}),
    ...(metadata?.name ? { name: metadata.name } : {}),
    ...(metadata?.namespace ? { namespace: metadata.namespace } : {}),
  };
}
