// Stats and metrics over a socket, as clients get them.

import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import {
  ContainerConfig,
  type ContainerStatsResponse,
  type CreateContainerResponse,
  type ListContainerStatsResponse,
  type ListMetricDescriptorsResponse,
  type ListPodSandboxMetricsResponse,
  type ListPodSandboxStatsResponse,
  PodSandboxConfig,
  type PodSandboxMetrics,
  type PodSandboxStatsResponse,
  type RunPodSandboxResponse,
  type StreamContainerStatsResponse,
  type StreamPodSandboxMetricsResponse,
  type StreamPodSandboxStatsResponse,
} from "../../../src/gen/runtime/v1/api.ts";
import { monitorCgroup } from "../../../src/paths.ts";
import { findContainer } from "../../../src/store/containers.ts";
import { findPod } from "../../../src/store/pods.ts";
import { IMAGE_ID } from "../containers/world.ts";
import { makeEdge } from "./edge.ts";

const NET_DEV = `title
title
  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0
  net1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
`;

/** A pod with one running container, of which the kernel counts `row`. */
async function stage(row: Record<string, number> = {}) {
  const edge = await makeEdge();
  const config = PodSandboxConfig.fromPartial({
    metadata: { name: "web", uid: "u", namespace: "prod", attempt: 0 },
    labels: { app: "web" },
    annotations: { note: "kept" },
  });
  const { podSandboxId } = await edge.ask<RunPodSandboxResponse>("runPodSandbox", { config });
  const create = ContainerConfig.fromPartial({
    metadata: { name: "c", attempt: 2 },
    image: { image: IMAGE_ID, userSpecifiedImage: "busybox:1" },
    labels: { tier: "front" },
  });
  const { containerId } = await edge.ask<CreateContainerResponse>("createContainer", {
    podSandboxId,
    config: create,
  });
  await edge.ask("startContainer", { containerId });
  const { store } = edge.world.deps;
  const pod = findPod(store, podSandboxId);
  const cgroup = pod?.cgroupPath ?? "";
  const now = Date.now() * 1000;
  const { kernel } = edge.world;
  const base = { wallMicros: now, monotonicMicros: 9_000_000, processes: 1, threads: 1, residentBytes: 4096 };
  kernel.stats.set(cgroup, { ...base, cpuUsageMicros: 5_000, ...row });
  kernel.stats.set(monitorCgroup(cgroup), { ...base, cpuUsageMicros: 1 });
  kernel.stats.set(findContainer(store, containerId)?.cgroupPath ?? "", {
    ...base,
    processes: 3,
    threads: 4,
    cpuUsageMicros: 4_000,
    ...row,
  });
  kernel.networkDevices.set(pod?.monitor?.pid ?? 0, NET_DEV);
  return { edge, podSandboxId, containerId };
}

const WITH_CONTROLLERS = {
  memoryCurrent: 1_000,
  memoryInactiveFile: 400,
  memoryAnon: 300,
  memoryMax: 5_000,
  memoryFaults: 7,
  memoryMajorFaults: 1,
  swapCurrent: 10,
  swapMax: 50,
  memoryFullMicros: 3,
  memorySomeMicros: 9,
  memorySome10: 2.5,
};

describe("stats", () => {
  it("of a container: CPU, memory, swap, layer and pressure", async () => {
    const { edge, containerId } = await stage(WITH_CONTROLLERS);
    const { stats } = await edge.ask<ContainerStatsResponse>("containerStats", { containerId });
    expect(stats?.attributes).toMatchObject({
      id: containerId,
      metadata: { name: "c", attempt: 2 },
      labels: { tier: "front" },
    });
    expect(stats?.cpu?.timestamp).toBeGreaterThan(10n ** 18n);
    expect(stats?.cpu?.usageCoreNanoSeconds).toEqual({ value: 4_000_000n });
    expect(stats?.cpu?.usageNanoCores?.value).toBeGreaterThanOrEqual(0n);
    expect(stats?.memory).toMatchObject({
      usageBytes: { value: 1_000n },
      workingSetBytes: { value: 600n },
      availableBytes: { value: 4_400n },
      rssBytes: { value: 300n },
      pageFaults: { value: 7n },
      majorPageFaults: { value: 1n },
      psi: { Full: { Total: 3_000n }, Some: { Total: 9_000n, Avg10: 2.5 } },
    });
    expect(stats?.swap).toMatchObject({ swapAvailableBytes: { value: 40n }, swapUsageBytes: { value: 10n } });
    expect(stats?.writableLayer?.timestamp).toBeGreaterThan(10n ** 18n);
    expect(stats?.writableLayer?.fsId?.mountpoint).toBe(edge.world.deps.paths.snapshots);
  });

  it("leave out what a host without controllers does not count", async () => {
    const { edge, containerId, podSandboxId } = await stage();
    const { stats } = await edge.ask<ContainerStatsResponse>("containerStats", { containerId });
    expect(stats?.swap).toBeUndefined();
    // The processes' resident memory is known all the same.
    expect(stats?.memory).toMatchObject({ workingSetBytes: { value: 4_096n }, rssBytes: { value: 4_096n } });
    expect(stats?.memory?.availableBytes).toBeUndefined();
    expect(stats?.memory?.psi).toBeUndefined();
    const pod = await edge.ask<PodSandboxStatsResponse>("podSandboxStats", { podSandboxId });
    expect(pod.stats?.linux?.memory?.rssBytes).toEqual({ value: 8_192n });
  });

  it("of a pod: with its network, its processes and its containers", async () => {
    const { edge, podSandboxId, containerId } = await stage(WITH_CONTROLLERS);
    const { stats } = await edge.ask<PodSandboxStatsResponse>("podSandboxStats", { podSandboxId });
    expect(stats?.attributes).toMatchObject({ id: podSandboxId, annotations: { note: "kept" } });
    expect(stats?.linux?.cpu?.usageCoreNanoSeconds).toEqual({ value: 5_000_000n });
    expect(stats?.linux?.network?.defaultInterface).toEqual({
      name: "eth0",
      rxBytes: { value: 1_000n },
      rxErrors: { value: 1n },
      txBytes: { value: 2_000n },
      txErrors: { value: 3n },
    });
    expect(stats?.linux?.network?.interfaces.map(({ name }) => name)).toEqual(["net1"]);
    // Three of the container, and the monitor.
    expect(stats?.linux?.process?.processCount).toEqual({ value: 4n });
    expect(stats?.linux?.containers.map(({ attributes }) => attributes?.id)).toEqual([containerId]);
  });

  it("list what fits, whole or as a stream, and only what runs", async () => {
    const { edge, podSandboxId, containerId } = await stage();
    const ids = async (filter?: object) => {
      const { stats } = await edge.ask<ListContainerStatsResponse>("listContainerStats", { filter });
      return stats.map(({ attributes }) => attributes?.id);
    };
    const filter = (changes: object) => ({ id: "", podSandboxId: "", labelSelector: {}, ...changes });
    expect(await ids()).toEqual([containerId]);
    expect(await ids(filter({ labelSelector: { tier: "front" } }))).toEqual([containerId]);
    expect(await ids(filter({ labelSelector: { tier: "back" } }))).toEqual([]);
    expect(await ids(filter({ podSandboxId: podSandboxId.slice(0, 12) }))).toEqual([containerId]);
    const streamed = await edge.collect<StreamContainerStatsResponse>("streamContainerStats", {});
    expect(streamed.map(({ containerStats }) => containerStats.length)).toEqual([1]);

    const pods = async (changes: object) => {
      const request = { filter: { id: "", labelSelector: {}, ...changes } };
      const { stats } = await edge.ask<ListPodSandboxStatsResponse>("listPodSandboxStats", request);
      return stats.map(({ attributes }) => attributes?.id);
    };
    expect(await pods({})).toEqual([podSandboxId]);
    expect(await pods({ labelSelector: { app: "other" } })).toEqual([]);
    const podStream = await edge.collect<StreamPodSandboxStatsResponse>("streamPodSandboxStats", {});
    expect(podStream.map(({ podSandboxStats }) => podSandboxStats.length)).toEqual([1]);

    const monitor = edge.world.driver.monitors.get(podSandboxId);
    monitor?.events.onExit(containerId, { finishedAt: 9, exitCode: 0, signal: 0, oomKilled: false });
    await expect.poll(() => ids()).toEqual([]);
    edge.world.kernel.stats.clear();
    const { stats } = await edge.ask<ContainerStatsResponse>("containerStats", { containerId });
    expect(stats?.attributes?.id).toBe(containerId);
  });

  it("of what is not there: NOT_FOUND", async () => {
    const { edge } = await stage();
    const unknown = "0".repeat(64);
    const failure = { code: status.NOT_FOUND };
    await expect(edge.ask("containerStats", { containerId: unknown })).rejects.toMatchObject(failure);
    await expect(edge.ask("podSandboxStats", { podSandboxId: unknown })).rejects.toMatchObject(failure);
  });
});

/** Of cri-surface: what consumers look for. */
const NAMES = `cpu_usage_seconds_total cpu_user_seconds_total cpu_system_seconds_total cpu_cfs_periods_total
  cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total file_descriptors fs_inodes_free
  fs_inodes_total fs_limit_bytes fs_usage_bytes last_seen memory_cache memory_failcnt
  memory_failures_total memory_kernel_usage memory_mapped_file memory_max_usage_bytes memory_rss
  memory_swap memory_usage_bytes memory_working_set_bytes network_receive_bytes_total
  network_receive_errors_total network_receive_packets_dropped_total network_receive_packets_total
  network_transmit_bytes_total network_transmit_errors_total network_transmit_packets_dropped_total
  network_transmit_packets_total oom_events_total processes sockets spec_cpu_period spec_cpu_shares
  spec_memory_limit_bytes spec_memory_swap_limit_bytes start_time_seconds threads threads_max
  hugetlb_usage_bytes hugetlb_max_usage_bytes pressure_cpu_stalled_seconds_total
  pressure_cpu_waiting_seconds_total pressure_memory_stalled_seconds_total
  pressure_memory_waiting_seconds_total pressure_io_stalled_seconds_total
  pressure_io_waiting_seconds_total spec_cpu_quota spec_memory_reservation_limit_bytes ulimits_soft
  blkio_device_usage_total fs_reads_total fs_reads_bytes_total fs_writes_total fs_writes_bytes_total`
  .split(/\s+/)
  .map((name) => `container_${name}`);

describe("metrics", () => {
  it("are all described, once each, with a help text and labels", async () => {
    const edge = await makeEdge();
    const { descriptors } = await edge.ask<ListMetricDescriptorsResponse>("listMetricDescriptors", {});
    expect(NAMES).toHaveLength(56);
    expect(descriptors.map(({ name }) => name).sort()).toEqual([...NAMES].sort());
    for (const { name, help, labelKeys } of descriptors) {
      expect(help, name).toMatch(/\.$/);
      expect(new Set(labelKeys).size, name).toBe(labelKeys.length);
      expect(labelKeys.slice(0, 5), name).toEqual(["pod", "namespace", "container", "id", "image"]);
    }
    expect(new Set(descriptors.map(({ help }) => help)).size).toBe(56);
  });

  const samplesOf = (pod: PodSandboxMetrics | undefined) => [
    ...(pod?.metrics ?? []),
    ...(pod?.containerMetrics ?? []).flatMap(({ metrics }) => metrics),
  ];

  it("have samples with as many labels as described, whatever the host counts", async () => {
    for (const row of [{}, WITH_CONTROLLERS]) {
      const { edge } = await stage(row);
      const { descriptors } = await edge.ask<ListMetricDescriptorsResponse>("listMetricDescriptors", {});
      const { podMetrics } = await edge.ask<ListPodSandboxMetricsResponse>("listPodSandboxMetrics", {});
      const samples = samplesOf(podMetrics[0]);
      for (const { name, labelKeys } of descriptors) {
        const own = samples.filter((sample) => sample.name === name);
        expect(own.length, name).toBeGreaterThan(0);
        for (const { labelValues, value } of own) {
          expect(labelValues, name).toHaveLength(labelKeys.length);
          expect(value?.value, name).toBeGreaterThanOrEqual(0n);
        }
      }
      const streamed = await edge.collect<StreamPodSandboxMetricsResponse>("streamPodSandboxMetrics", {});
      expect(streamed.flatMap(({ podSandboxMetrics }) => podSandboxMetrics)).toHaveLength(1);
    }
  });

  it("say what was measured, of whom", async () => {
    const row = { ...WITH_CONTROLLERS, memoryOomKills: 2, pidsMax: Number.POSITIVE_INFINITY, descriptors: 6 };
    const { edge, containerId } = await stage({ ...row, cpuSomeMicros: 3_400_000, cpuWeight: 1 });
    const { podMetrics } = await edge.ask<ListPodSandboxMetricsResponse>("listPodSandboxMetrics", {});
    const samples = samplesOf(podMetrics[0]);
    const counted = (name: string, ...labels: string[]) => {
      const found = samples.find(
        (sample) =>
          sample.name === `container_${name}` && labels.every((label) => sample.labelValues.includes(label)),
      );
      return found?.value?.value;
    };
    expect(counted("oom_events_total", "web", "prod", "c", containerId, "busybox:1")).toBe(2n);
    expect(counted("memory_working_set_bytes")).toBe(600n);
    expect(counted("spec_memory_limit_bytes")).toBe(5_000n);
    expect(counted("threads_max")).toBe(0n);
    expect(counted("threads")).toBe(4n);
    expect(counted("file_descriptors")).toBe(6n);
    expect(counted("spec_cpu_shares")).toBe(2n);
    expect(counted("pressure_cpu_waiting_seconds_total")).toBe(3n);
    expect(counted("network_receive_bytes_total", "POD", "eth0")).toBe(1_000n);
    expect(counted("network_transmit_packets_dropped_total", "eth0")).toBe(4n);
    expect(counted("memory_failures_total", "pgmajfault", "hierarchy")).toBe(1n);
    expect(counted("last_seen")).toBeGreaterThan(1_000_000_000n);
    expect(counted("fs_inodes_total")).toBeDefined();
  });
});
