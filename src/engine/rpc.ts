// From a gRPC call to a verb's call, and from its promise to an answer.

import type { handleServerStreamingCall, handleUnaryCall } from "@grpc/grpc-js";
import type { Call } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import type { EngineDeps } from "./deps.ts";
import { serviceError } from "./status.ts";

/** Every kind of gRPC call. */
interface Cancellable {
  on(event: "cancelled", listener: () => void): unknown;
}

type Surroundings = Pick<EngineDeps, "log" | "observeStep">;

/** The verb's view of `rpc`: its signal aborts when the client goes away or its deadline passes. */
export function callOf(rpc: Cancellable, surroundings: Surroundings): Call {
  const controller = new AbortController();
  rpc.on("cancelled", () => controller.abort(new BerthError("CANCELLED", "the client went away")));
  return {
    signal: controller.signal,
    log: surroundings.log,
    observeStep: surroundings.observeStep ?? (() => {}),
  };
}

/** Serves one request with one answer. */
export function unary<Request, Response>(
  surroundings: Surroundings,
  handler: (call: Call, request: Request) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return async (rpc, answer) => {
    try {
      answer(null, await handler(callOf(rpc, surroundings), rpc.request));
    } catch (error) {
      answer(serviceError(error));
    }
  };
}

/**
 * Serves one request with a stream of answers. `send` resolves when there is room for more, so a slow
 * client slows the handler down instead of filling the daemon's memory.
 */
export function serverStream<Request, Response>(
  surroundings: Surroundings,
  handler: (call: Call, request: Request, send: (response: Response) => Promise<void>) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return async (rpc) => {
    const call = callOf(rpc, surroundings);
    const send = async (response: Response): Promise<void> => {
      if (call.signal.aborted || rpc.write(response)) return;
      await new Promise<void>((resolve) => {
        const go = () => {
          rpc.off("drain", go);
          call.signal.removeEventListener("abort", go);
          resolve();
        };
        rpc.on("drain", go);
        call.signal.addEventListener("abort", go);
      });
    };
    try {
      await handler(call, rpc.request, send);
      rpc.end();
    } catch (error) {
      rpc.emit("error", serviceError(error));
    }
  };
}
