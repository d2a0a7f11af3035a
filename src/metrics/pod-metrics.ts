// The metrics of CRI (ListMetricDescriptors, ListPodSandboxMetrics): the names that consumers know, with
// what was measured. Every metric that is described has a sample for every container, or for every pod where
// it is the pod's: what the host does not count is 0.

import type * as proto from "../gen/runtime/v1/api.ts";
import type { MeasuredContainer } from "../types/container.ts";
import type { ListedPod } from "../types/pod.ts";
import type { ContainerStats, FilesystemCapacity, PodStats } from "../types/stats.ts";
import type { MetricInfo, Reading } from "./metric.ts";
import { NETWORK_METRICS } from "./network-metrics.ts";
import { RESOURCE_METRICS } from "./resource-metrics.ts";
import { STORAGE_METRICS } from "./storage-metrics.ts";

/** Labels of every metric, before its own. */
const BASE_LABELS = ["pod", "namespace", "container", "id", "image"];
/**
 * What stands for a pod where a container is named; consumers know it from the sandboxes of other engines.
 */
const POD_AS_CONTAINER = "POD";

const CONTAINER_METRICS = [...RESOURCE_METRICS, ...STORAGE_METRICS];

/** All there are; they do not change while the daemon runs. */
export function metricDescriptors(): proto.MetricDescriptor[] {
  return [...CONTAINER_METRICS, ...NETWORK_METRICS].map(({ name, help, labels }) => ({
    name,
    help,
    labelKeys: [...BASE_LABELS, ...labels],
  }));
}

export function podMetrics(stats: PodStats, filesystem: FilesystemCapacity | null): proto.PodSandboxMetrics {
  const { pod, network, containers } = stats;
  const base = [...podLabels(pod), POD_AS_CONTAINER, pod.id, ""];
  return {
    podSandboxId: pod.id,
    metrics: NETWORK_METRICS.flatMap((metric) => {
      const readings = (network?.interfaces ?? []).map((counters) => ({
        labels: [counters.name],
        value: metric.read(counters),
      }));
      return samples(metric, base, readings);
    }),
    containerMetrics: containers.map((container) => containerMetrics(pod, container, filesystem)),
  };
}

function containerMetrics(
  pod: ListedPod,
  stats: ContainerStats,
  filesystem: FilesystemCapacity | null,
): proto.ContainerMetrics {
  const base = [...podLabels(pod), ...containerLabels(stats.container)];
  return {
    containerId: stats.container.id,
    metrics: CONTAINER_METRICS.flatMap((metric) => samples(metric, base, metric.read(stats, filesystem))),
  };
}

function podLabels({ config }: ListedPod): string[] {
  return [config.metadata.name, config.metadata.namespace];
}

function containerLabels({ id, config, imageRef }: MeasuredContainer): string[] {
  return [config.metadata.name, id, config.image.userSpecifiedImage || imageRef];
}

function samples(metric: MetricInfo, base: readonly string[], readings: readonly Reading[]): proto.Metric[] {
  const counted = readings.length > 0 ? readings : [{ labels: metric.labels.map(() => ""), value: null }];
  return counted.map(({ labels, value }) => ({
    name: metric.name,
    // 0: now (CRI, Metric.timestamp).
    timestamp: 0n,
    metricType: metric.kind === "COUNTER" ? 0 : 1,
    labelValues: [...base, ...labels],
    value: { value: wholeOf(value) },
  }));
}

/** The CRI has whole numbers only. No limit and what is not counted is 0. */
function wholeOf(value: number | null | undefined): bigint {
  return value === null || value === undefined || !Number.isFinite(value) || value < 0
    ? 0n
    : BigInt(Math.trunc(value));
}
