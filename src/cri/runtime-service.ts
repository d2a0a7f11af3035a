// RuntimeService of the CRI: which verb stands behind which call. Nothing is decided here.

import type * as proto from "../gen/runtime/v1/api.ts";
import { nowMicros } from "../lib/clock.ts";
import { encodeBatches, encodeList } from "../lib/encode-list.ts";
import type { BerthConfig } from "../types/config.ts";
import { type ContainerEvents, statusesOfPod } from "./container-events.ts";
import { containerConfigFromProto, containerFilterFromProto } from "./container-from-proto.ts";
import { containerStatusToProto } from "./container-to-proto.ts";
import type { RuntimeHandlers } from "./encoded-lists.ts";
import { filled, invalidField, present, seconds, text, texts } from "./fields.ts";
import { containerInfo, podInfo } from "./info.ts";
import { serverStream, unary } from "./intercept.ts";
import { containerPiece, podPiece } from "./list-pieces.ts";
import { podConfigFromProto, podFilterFromProto } from "./pod-from-proto.ts";
import { nanoseconds, podSandboxStatusToProto } from "./pod-to-proto.ts";
import { runtimeConfigAnswer, statusAnswer, versionAnswer } from "./runtime-answers.ts";
import { resourcesFromProto } from "./security-from-proto.ts";
import { metricCalls, statsCalls } from "./stats-calls.ts";
import { type StreamingEdge, streamingCalls } from "./streaming-calls.ts";
import { unimplemented } from "./unimplemented.ts";
import type { CriVerbs } from "./verbs.ts";

export type RuntimeEdge = StreamingEdge & {
  readonly config: BerthConfig;
  readonly containerEvents: Pick<ContainerEvents, "read">;
};

/** Handlers of every call of RuntimeService. */
export function makeRuntimeService(verbs: CriVerbs, edge: RuntimeEdge): RuntimeHandlers {
  return {
    version: unary(edge, (_call, request) => versionAnswer(request)),
    status: unary(edge, async (_call, { verbose }) =>
      statusAnswer(await verbs.runtimeStatus(), edge.config, verbose),
    ),
    runtimeConfig: unary(edge, () => runtimeConfigAnswer(edge.config)),
    updateRuntimeConfig: unary(edge, (_call, { runtimeConfig }) => {
      verbs.updateRuntimeConfig(text(runtimeConfig?.networkConfig?.podCidr ?? "", "pod_cidr"));
      return {};
    }),
    ...podCalls(verbs, edge),
    ...containerCalls(verbs, edge),
    ...processCalls(verbs, edge),
    ...statsCalls(verbs, edge),
    ...metricCalls(verbs, edge),
    ...streamingCalls(verbs, edge),
    getContainerEvents: serverStream(edge, (call) => edge.containerEvents.read(call.signal)),
    ...laterCalls(edge),
  };
}

type PodCalls =
  | "runPodSandbox"
  | "stopPodSandbox"
  | "removePodSandbox"
  | "podSandboxStatus"
  | "listPodSandbox"
  | "updatePodSandboxResources"
  | "streamPodSandboxes";

function podCalls(verbs: CriVerbs, edge: RuntimeEdge): Pick<RuntimeHandlers, PodCalls> {
  const list = (filter: proto.PodSandboxFilter | undefined) =>
    verbs.listPodSandbox(podFilterFromProto(filter));
  return {
    runPodSandbox: unary(edge, async (call, { config, runtimeHandler }) => ({
      podSandboxId: await verbs.runPodSandbox(call, {
        config: podConfigFromProto(config, "config"),
        handler: text(runtimeHandler, "runtime_handler"),
      }),
    })),
    stopPodSandbox: unary(edge, async (call, { podSandboxId }) => {
      await verbs.stopPodSandbox(call, filled(podSandboxId, "pod_sandbox_id"));
      return {};
    }),
    removePodSandbox: unary(edge, async (call, { podSandboxId }) => {
      await verbs.removePodSandbox(call, filled(podSandboxId, "pod_sandbox_id"));
      return {};
    }),
    podSandboxStatus: unary(edge, (_call, { podSandboxId, verbose }) => {
      // Before the rows are read: whatever changes later is newer than this.
      const timestamp = nanoseconds(nowMicros());
      const pod = verbs.podSandboxStatus(filled(podSandboxId, "pod_sandbox_id"));
      return {
        status: podSandboxStatusToProto(pod),
        info: verbose ? podInfo(pod) : {},
        // For clients that follow events.
        containersStatuses: statusesOfPod(verbs, pod.id),
        timestamp,
      };
    }),
    updatePodSandboxResources: unary(edge, (_call, { podSandboxId, overhead, resources }) => {
      verbs.updatePodSandboxResources(filled(podSandboxId, "pod_sandbox_id"), {
        overhead: resourcesFromProto(overhead, "overhead"),
        resources: resourcesFromProto(resources, "resources"),
      });
      return {};
    }),
    listPodSandbox: unary(edge, async (_call, { filter }) => encodeList(await list(filter), podPiece)),
    streamPodSandboxes: serverStream(edge, async function* (_call, { filter }) {
      yield* encodeBatches(await list(filter), podPiece);
    }),
  };
}

type ContainerCalls =
  | "createContainer"
  | "startContainer"
  | "stopContainer"
  | "removeContainer"
  | "containerStatus"
  | "listContainers"
  | "streamContainers"
  | "updateContainerResources";

function containerCalls(verbs: CriVerbs, edge: RuntimeEdge): Pick<RuntimeHandlers, ContainerCalls> {
  const list = (filter: proto.ContainerFilter | undefined) =>
    verbs.listContainers(containerFilterFromProto(filter));
  return {
    createContainer: unary(edge, async (call, request) => ({
      containerId: await verbs.createContainer(call, createRequest(request)),
    })),
    startContainer: unary(edge, async (call, { containerId }) => {
      await verbs.startContainer(call, filled(containerId, "container_id"));
      return {};
    }),
    stopContainer: unary(edge, async (call, { containerId, timeout }) => {
      await verbs.stopContainer(call, filled(containerId, "container_id"), seconds(timeout, "timeout"));
      return {};
    }),
    removeContainer: unary(edge, async (call, { containerId }) => {
      await verbs.removeContainer(call, filled(containerId, "container_id"));
      return {};
    }),
    containerStatus: unary(edge, (_call, { containerId, verbose }) => {
      const container = verbs.containerStatus(filled(containerId, "container_id"));
      const status = containerStatusToProto(container, verbs.imageStatus);
      if (!verbose) return { status, info: {} };
      return { status, info: containerInfo(container, verbs.podSandboxStatus(container.podId).handler) };
    }),
    listContainers: unary(edge, async (_call, { filter }) => encodeList(await list(filter), containerPiece)),
    streamContainers: serverStream(edge, async function* (_call, { filter }) {
      yield* encodeBatches(await list(filter), containerPiece);
    }),
    updateContainerResources: unary(edge, async (call, { containerId, linux, windows }) => {
      if (windows !== undefined) throw invalidField("windows", "is set: berth runs Linux containers only");
      const id = filled(containerId, "container_id");
      await verbs.updateContainerResources(call, id, present(resourcesFromProto(linux, "linux"), "linux"));
      return {};
    }),
  };
}

function createRequest(request: proto.CreateContainerRequest): Parameters<CriVerbs["createContainer"]>[1] {
  const { podSandboxId, config, sandboxConfig } = request;
  return {
    podId: filled(podSandboxId, "pod_sandbox_id"),
    config: containerConfigFromProto(config, "config"),
    podConfig: sandboxConfig === undefined ? undefined : podConfigFromProto(sandboxConfig, "sandbox_config"),
  };
}

function processCalls(
  verbs: CriVerbs,
  edge: RuntimeEdge,
): Pick<RuntimeHandlers, "execSync" | "reopenContainerLog"> {
  return {
    execSync: unary(edge, (call, { containerId, cmd, timeout }) => {
      const id = filled(containerId, "container_id");
      if (cmd.length === 0) throw invalidField("cmd", "is empty: there is nothing to run");
      return verbs.execSync(call, id, texts(cmd, "cmd"), seconds(timeout, "timeout"));
    }),
    reopenContainerLog: unary(edge, async (call, { containerId }) => {
      await verbs.reopenContainerLog(call, filled(containerId, "container_id"));
      return {};
    }),
  };
}

function laterCalls(edge: RuntimeEdge) {
  return {
    checkpointContainer: unimplemented(edge, "CheckpointContainer"),
    checkpointPod: unimplemented(edge, "CheckpointPod"),
    restorePod: unimplemented(edge, "RestorePod"),
  };
}
