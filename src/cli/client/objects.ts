// Removing and stopping, which several commands do.

import type { ResolveResponse } from "../../gen/berth/v1/engine.ts";
import type { Channel } from "./channel.ts";
import * as methods from "./methods.ts";

/** Full ids of the container that the user named. @throws RpcError NOT_FOUND, INVALID_ARGUMENT */
export function find(channel: Channel, container: string): Promise<ResolveResponse> {
  return channel.unary(methods.resolve, { container });
}

/** Stops and removes a pod with everything in it. */
export async function removePod(channel: Channel, podSandboxId: string): Promise<void> {
  await channel.unary(methods.stopPodSandbox, { podSandboxId });
  await channel.unary(methods.removePodSandbox, { podSandboxId });
}
