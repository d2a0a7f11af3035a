// Which calls answer with a list that is encoded already (see encode-list.ts). All have one field, number 1.

import * as proto from "../gen/runtime/v1/api.ts";
import { encoded, type Handlers } from "../lib/service-handlers.ts";

const runtime = proto.RuntimeServiceService;
const images = proto.ImageServiceService;

export const runtimeServiceDefinition = {
  ...runtime,
  listPodSandbox: encoded(runtime.listPodSandbox),
  streamPodSandboxes: encoded(runtime.streamPodSandboxes),
  listContainers: encoded(runtime.listContainers),
  streamContainers: encoded(runtime.streamContainers),
  listContainerStats: encoded(runtime.listContainerStats),
  streamContainerStats: encoded(runtime.streamContainerStats),
  listPodSandboxStats: encoded(runtime.listPodSandboxStats),
  streamPodSandboxStats: encoded(runtime.streamPodSandboxStats),
  listPodSandboxMetrics: encoded(runtime.listPodSandboxMetrics),
  streamPodSandboxMetrics: encoded(runtime.streamPodSandboxMetrics),
};

export const imageServiceDefinition = {
  ...images,
  listImages: encoded(images.listImages),
  streamImages: encoded(images.streamImages),
};

export type RuntimeHandlers = Handlers<typeof runtimeServiceDefinition>;
export type ImageHandlers = Handlers<typeof imageServiceDefinition>;
