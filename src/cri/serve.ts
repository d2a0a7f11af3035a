// Adds the Container Runtime Interface to a gRPC server.

import type { Server, ServerOptions } from "@grpc/grpc-js";
import type { ImageDeps } from "../images/deps.ts";
import type { StepObserver } from "../lib/call.ts";
import type { PodDeps } from "../pods/deps.ts";
import type { StreamGrants } from "../streaming/target.ts";
import type { ContainerEvents } from "./container-events.ts";
import { imageServiceDefinition, runtimeServiceDefinition } from "./encoded-lists.ts";
import { makeImageService } from "./image-service.ts";
import { makeRuntimeService } from "./runtime-service.ts";
import { bindVerbs } from "./verbs.ts";

/** Clients of the CRI send and take at most this (cri-client); grpc-js by itself takes 4 MiB. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** What the server has to be made with. */
export const criServerOptions: ServerOptions = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  // Counts every message for a debugging service that berth does not offer.
  "grpc.enable_channelz": 0,
};

export type CriDeps = PodDeps &
  ImageDeps & {
    readonly observeStep?: StepObserver | undefined;
    readonly streaming: StreamGrants;
    readonly containerEvents: ContainerEvents;
  };

/** Serves runtime.v1.RuntimeService and runtime.v1.ImageService, every call of them. */
export function serveCri(server: Server, deps: CriDeps): void {
  const verbs = bindVerbs(deps);
  server.addService(runtimeServiceDefinition, makeRuntimeService(verbs, deps));
  server.addService(imageServiceDefinition, makeImageService(verbs, deps));
}
