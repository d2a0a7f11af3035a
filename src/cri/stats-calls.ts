// The calls about what pods and containers use, and the metrics made of it.

import type * as proto from "../gen/runtime/v1/api.ts";
import type { Call } from "../lib/call.ts";
import { metricDescriptors, podMetrics } from "../metrics/pod-metrics.ts";
import { batches } from "./batches.ts";
import { containerFilterFromProto } from "./container-from-proto.ts";
import { filled } from "./fields.ts";
import { serverStream, unary } from "./intercept.ts";
import { podFilterFromProto } from "./pod-from-proto.ts";
import type { RuntimeEdge } from "./runtime-service.ts";
import { containerStatsToProto, podStatsToProto } from "./stats-to-proto.ts";
import type { CriVerbs } from "./verbs.ts";

type StatsCalls =
  | "containerStats"
  | "listContainerStats"
  | "streamContainerStats"
  | "podSandboxStats"
  | "listPodSandboxStats"
  | "streamPodSandboxStats";

export function statsCalls(verbs: CriVerbs, edge: RuntimeEdge): Pick<proto.RuntimeServiceServer, StatsCalls> {
  const ofContainers = async (call: Call, filter: proto.ContainerStatsFilter | undefined) => {
    const wanted = filter === undefined ? undefined : { ...filter, state: undefined };
    const found = await verbs.listContainerStats(call, containerFilterFromProto(wanted));
    return found.map(containerStatsToProto);
  };
  const ofPods = async (call: Call, filter: proto.PodSandboxStatsFilter | undefined) => {
    const wanted = filter === undefined ? undefined : { ...filter, state: undefined };
    const found = await verbs.listPodSandboxStats(call, podFilterFromProto(wanted));
    return found.map(podStatsToProto);
  };
  return {
    containerStats: unary(edge, async (call, { containerId }) => ({
      stats: containerStatsToProto(await verbs.containerStats(call, filled(containerId, "container_id"))),
    })),
    listContainerStats: unary(edge, async (call, { filter }) => ({
      stats: await ofContainers(call, filter),
    })),
    streamContainerStats: serverStream(edge, async function* (call, { filter }) {
      for (const containerStats of batches(await ofContainers(call, filter))) yield { containerStats };
    }),
    podSandboxStats: unary(edge, async (call, { podSandboxId }) => ({
      stats: podStatsToProto(await verbs.podSandboxStats(call, filled(podSandboxId, "pod_sandbox_id"))),
    })),
    listPodSandboxStats: unary(edge, async (call, { filter }) => ({ stats: await ofPods(call, filter) })),
    streamPodSandboxStats: serverStream(edge, async function* (call, { filter }) {
      for (const podSandboxStats of batches(await ofPods(call, filter))) yield { podSandboxStats };
    }),
  };
}

type MetricCalls = "listMetricDescriptors" | "listPodSandboxMetrics" | "streamPodSandboxMetrics";

export function metricCalls(
  verbs: CriVerbs,
  edge: RuntimeEdge,
): Pick<proto.RuntimeServiceServer, MetricCalls> {
  const descriptors = metricDescriptors();
  const metrics = async (call: Call) => {
    const { pods, filesystem } = await verbs.listPodSandboxMetrics(call);
    return pods.map((pod) => podMetrics(pod, filesystem));
  };
  return {
    listMetricDescriptors: unary(edge, () => ({ descriptors })),
    listPodSandboxMetrics: unary(edge, async (call) => ({ podMetrics: await metrics(call) })),
    streamPodSandboxMetrics: serverStream(edge, async function* (call) {
      for (const podSandboxMetrics of batches(await metrics(call))) yield { podSandboxMetrics };
    }),
  };
}
