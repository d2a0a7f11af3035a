import type { Socket } from "node:net";
import type { Call } from "../lib/call.ts";
import { throwIfAborted } from "../lib/call.ts";
import { BerthError, errnoOf, wrapError } from "../lib/errors.ts";
import { ReadToEndSocket } from "../lib/read-to-end-socket.ts";
import type { PodId } from "../types/ids.ts";
import type { PodDeps } from "./deps.ts";
import { requireReady } from "./pod-lifecycle.ts";
import { podSandboxStatus } from "./pod-sandbox-status.ts";

/** For each of 127.0.0.1 and ::1. Only a listener whose queue is full lets one wait. */
const DIAL_TIMEOUT_MS = 5_000;

/**
 * A connection to a TCP port on the loopback of a READY pod: within its network namespace, or on the host's
 * for a pod that shares that. UNAVAILABLE when nothing listens there. Either direction ends by itself.
 */
export async function openPodPort(deps: PodDeps, call: Call, id: PodId, port: number): Promise<Socket> {
  const doing = `connect to port ${port} of pod sandbox "${id}"`;
  throwIfAborted(call, doing);
  const pod = podSandboxStatus(deps, id);
  requireReady(pod, doing);
  let fd: number;
  try {
    fd = await deps.kernel.dialLoopback(pod.netnsPath, port, DIAL_TIMEOUT_MS);
  } catch (error) {
    if (errnoOf(error) !== "ECONNREFUSED") throw wrapError(doing, error);
    throw new BerthError(
      "UNAVAILABLE",
      `${doing}: connection refused: nothing listens on 127.0.0.1 or ::1 there`,
      { cause: error },
    );
  }
  return new ReadToEndSocket({ fd, readable: true, writable: true, allowHalfOpen: true });
}
