// The calls about what pods and containers use, and the metrics made of it.

import * as proto from "../gen/runtime/v1/api.ts";
import type { Call } from "../lib/call.ts";
import { encodeBatches, encodeList, encodePiece } from "../lib/encode-list.ts";
import { metricDescriptors, podMetrics } from "../metrics/pod-metrics.ts";
import type { ContainerStats, PodStats } from "../types/stats.ts";
import { containerFilterFromProto } from "./container-from-proto.ts";
import type { RuntimeHandlers } from "./encoded-lists.ts";
import { filled } from "./fields.ts";
import { serverStream, unary } from "./intercept.ts";
import { podFilterFromProto } from "./pod-from-proto.ts";
import type { RuntimeEdge } from "./runtime-service.ts";
import { containerStatsToProto, podStatsToProto } from "./stats-to-proto.ts";
import type { CriVerbs } from "./verbs.ts";

const containerPiece = (stats: ContainerStats) =>
  encodePiece(proto.ContainerStats, containerStatsToProto(stats));
const podPiece = (stats: PodStats) => encodePiece(proto.PodSandboxStats, podStatsToProto(stats));

type StatsCalls =
  | "containerStats"
  | "listContainerStats"
  | "streamContainerStats"
  | "podSandboxStats"
  | "listPodSandboxStats"
  | "streamPodSandboxStats";

export function statsCalls(verbs: CriVerbs, edge: RuntimeEdge): Pick<RuntimeHandlers, StatsCalls> {
  const ofContainers = (call: Call, filter: proto.ContainerStatsFilter | undefined) => {
    const wanted = filter === undefined ? undefined : { ...filter, state: undefined };
    return verbs.listContainerStats(call, containerFilterFromProto(wanted));
  };
  const ofPods = (call: Call, filter: proto.PodSandboxStatsFilter | undefined) => {
    const wanted = filter === undefined ? undefined : { ...filter, state: undefined };
    return verbs.listPodSandboxStats(call, podFilterFromProto(wanted));
  };
  return {
    containerStats: unary(edge, async (call, { containerId }) => ({
      stats: containerStatsToProto(await verbs.containerStats(call, filled(containerId, "container_id"))),
    })),
    listContainerStats: unary(edge, async (call, { filter }) =>
      encodeList(await ofContainers(call, filter), containerPiece),
    ),
    streamContainerStats: serverStream(edge, async function* (call, { filter }) {
      yield* encodeBatches(await ofContainers(call, filter), containerPiece);
    }),
    podSandboxStats: unary(edge, async (call, { podSandboxId }) => ({
      stats: podStatsToProto(await verbs.podSandboxStats(call, filled(podSandboxId, "pod_sandbox_id"))),
    })),
    listPodSandboxStats: unary(edge, async (call, { filter }) =>
      encodeList(await ofPods(call, filter), podPiece),
    ),
    streamPodSandboxStats: serverStream(edge, async function* (call, { filter }) {
      yield* encodeBatches(await ofPods(call, filter), podPiece);
    }),
  };
}

type MetricCalls = "listMetricDescriptors" | "listPodSandboxMetrics" | "streamPodSandboxMetrics";

export function metricCalls(verbs: CriVerbs, edge: RuntimeEdge): Pick<RuntimeHandlers, MetricCalls> {
  const descriptors = metricDescriptors();
  const metricsPieces = async (call: Call) => {
    const { pods, filesystem } = await verbs.listPodSandboxMetrics(call);
    const piece = (pod: PodStats) => encodePiece(proto.PodSandboxMetrics, podMetrics(pod, filesystem));
    return { pods, piece };
  };
  return {
    listMetricDescriptors: unary(edge, () => ({ descriptors })),
    listPodSandboxMetrics: unary(edge, async (call) => {
      const { pods, piece } = await metricsPieces(call);
      return encodeList(pods, piece);
    }),
    streamPodSandboxMetrics: serverStream(edge, async function* (call) {
      const { pods, piece } = await metricsPieces(call);
      yield* encodeBatches(pods, piece);
    }),
  };
}
