// Joins a bidirectional gRPC call to a connection into a pod. Each direction ends by itself, and each side
// that does not read holds the other.

import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { PortForwardRequest, PortForwardResponse, PortForwardStart } from "../gen/berth/v1/engine.ts";
import { BerthError } from "../lib/errors.ts";
import { openPodPort } from "../pods/open-pod-port.ts";
import type { EngineDeps } from "./deps.ts";
import { callOf } from "./rpc.ts";
import { firstMessage } from "./serve-session.ts";
import { serviceError } from "./status.ts";

const NOTHING = Buffer.alloc(0);

type Rpc = ServerDuplexStream<PortForwardRequest, PortForwardResponse>;

/** Serves one call until both directions have ended or the client goes away. */
export async function servePortForward(deps: EngineDeps, rpc: Rpc): Promise<void> {
  const call = callOf(rpc, deps);
  try {
    const { podId, port } = await firstMessage<PortForwardStart>(rpc, call);
    if (port < 1 || port > 65_535) {
      throw new BerthError("INVALID_ARGUMENT", `port-forward: port ${port} is not within 1 and 65535`);
    }
    const socket = await openPodPort(deps, call, podId, port);
    join(rpc, socket, call.signal);
  } catch (error) {
    rpc.emit("error", serviceError(error));
  }
}

function join(rpc: Rpc, socket: Awaited<ReturnType<typeof openPodPort>>, signal: AbortSignal): void {
  const stop = () => socket.destroy();
  const send = (message: Partial<PortForwardResponse>) =>
    rpc.writable && rpc.write({ connected: false, data: NOTHING, closed: false, ...message });
  if (signal.aborted) return void stop();
  signal.addEventListener("abort", stop, { once: true });
  rpc.on("close", stop);
  rpc.on("error", stop);
  rpc.on("drain", () => socket.resume());
  rpc.on("data", ({ data }: PortForwardRequest) => {
    if (data.length > 0 && !socket.write(data)) rpc.pause();
  });
  rpc.on("end", () => socket.end());
  socket.on("drain", () => rpc.resume());
  socket.on("data", (data: Buffer) => {
    if (!send({ data })) socket.pause();
  });
  socket.on("end", () => send({ closed: true }));
  // An application that resets its connection is no error of the forwarding: the call just ends.
  socket.on("error", () => {});
  socket.on("close", () => rpc.end());
  send({ connected: true });
  rpc.resume();
}
