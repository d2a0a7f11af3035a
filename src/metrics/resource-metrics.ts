// Metrics of CPU, memory, pressure and processes.

import { memoryUsage } from "../containers/memory-usage.ts";
import type { ContainerStats, Pressure } from "../types/stats.ts";
import { type ContainerMetric, labelled, type Reading, single } from "./metric.ts";

const seconds = (micros: number | null | undefined) => (micros ?? 0) / 1e6;

const cpu = ({ sample }: ContainerStats) => sample?.cpu;
const memory = ({ sample }: ContainerStats) => sample?.memory;
const processes = ({ sample }: ContainerStats) => sample?.processes;
/** A limit of "max" is shown as 0, as consumers know it. */
const limit = (value: number | null | undefined) => (value === Number.POSITIVE_INFINITY ? 0 : value);
const usage = ({ sample }: ContainerStats) => (sample === null ? null : memoryUsage(sample));

const CPU: readonly ContainerMetric[] = [
  labelled("COUNTER", "container_cpu_usage_seconds_total", "CPU time used, in seconds.", ["cpu"], (stats) => [
    { labels: ["total"], value: seconds(cpu(stats)?.usageMicros) },
  ]),
  single("COUNTER", "container_cpu_user_seconds_total", "CPU time used in user mode, in seconds.", (stats) =>
    seconds(cpu(stats)?.userMicros),
  ),
  single(
    "COUNTER",
    "container_cpu_system_seconds_total",
    "CPU time used in the kernel, in seconds.",
    (stats) => seconds(cpu(stats)?.systemMicros),
  ),
  single(
    "COUNTER",
    "container_cpu_cfs_periods_total",
    "Periods of the CPU quota that have passed.",
    (stats) => cpu(stats)?.periods,
  ),
  single(
    "COUNTER",
    "container_cpu_cfs_throttled_periods_total",
    "Periods in which the CPU quota was used up.",
    (stats) => cpu(stats)?.throttledPeriods,
  ),
  single(
    "COUNTER",
    "container_cpu_cfs_throttled_seconds_total",
    "Time spent waiting because the CPU quota was used up, in seconds.",
    (stats) => seconds(cpu(stats)?.throttledMicros),
  ),
  single("GAUGE", "container_spec_cpu_period", "Period of the CPU quota, in microseconds.", (stats) =>
    limit(cpu(stats)?.period),
  ),
  single(
    "GAUGE",
    "container_spec_cpu_quota",
    "CPU time per period, in microseconds; 0 without a quota.",
    (stats) => limit(cpu(stats)?.quota),
  ),
  single("GAUGE", "container_spec_cpu_shares", "Share of the CPU among its like, 2 to 262144.", (stats) =>
    sharesOf(stats),
  ),
];

const FAILURES = [
  ["pgfault", "faults"],
  ["pgmajfault", "majorFaults"],
] as const;

const MEMORY: readonly ContainerMetric[] = [
  single(
    "GAUGE",
    "container_memory_cache",
    "File pages in memory, in bytes.",
    (stats) => memory(stats)?.file,
  ),
  single(
    "COUNTER",
    "container_memory_failcnt",
    "How often the memory limit was reached.",
    (stats) => memory(stats)?.limitHits,
  ),
  labelled(
    "COUNTER",
    "container_memory_failures_total",
    "Page faults, by kind.",
    ["failure_type", "scope"],
    // The kernel counts a cgroup together with those beneath it.
    (stats) =>
      FAILURES.flatMap(([type, key]) =>
        ["container", "hierarchy"].map((scope) => ({ labels: [type, scope], value: memory(stats)?.[key] })),
      ),
  ),
  single(
    "GAUGE",
    "container_memory_kernel_usage",
    "Memory that the kernel uses on its behalf, in bytes.",
    (stats) => memory(stats)?.kernel,
  ),
  single(
    "GAUGE",
    "container_memory_mapped_file",
    "File pages that are mapped, in bytes.",
    (stats) => memory(stats)?.fileMapped,
  ),
  single(
    "GAUGE",
    "container_memory_max_usage_bytes",
    "Most memory ever used, in bytes.",
    (stats) => memory(stats)?.peak,
  ),
  single("GAUGE", "container_memory_rss", "Anonymous memory, in bytes.", (stats) => usage(stats)?.rss),
  single("GAUGE", "container_memory_swap", "Swap used, in bytes.", (stats) => stats.sample?.swapCurrent),
  single(
    "GAUGE",
    "container_memory_usage_bytes",
    "Memory used, file pages included, in bytes.",
    (stats) => usage(stats)?.usage,
  ),
  single(
    "GAUGE",
    "container_memory_working_set_bytes",
    "Memory used without file pages that lie idle, in bytes.",
    (stats) => usage(stats)?.workingSet,
  ),
  single(
    "COUNTER",
    "container_oom_events_total",
    "Processes killed for lack of memory.",
    (stats) => memory(stats)?.oomKills,
  ),
  single("GAUGE", "container_spec_memory_limit_bytes", "Memory limit, in bytes; 0 without one.", (stats) =>
    limit(memory(stats)?.max),
  ),
  single(
    "GAUGE",
    "container_spec_memory_reservation_limit_bytes",
    "Memory that is protected from reclaim, in bytes.",
    (stats) => limit(memory(stats)?.low),
  ),
  single("GAUGE", "container_spec_memory_swap_limit_bytes", "Swap limit, in bytes; 0 without one.", (stats) =>
    limit(stats.sample?.swapMax),
  ),
  labelled(
    "GAUGE",
    "container_hugetlb_usage_bytes",
    "Huge pages used, in bytes, by page size.",
    ["pagesize"],
    (stats) => hugepages(stats, "bytes"),
  ),
  labelled(
    "GAUGE",
    "container_hugetlb_max_usage_bytes",
    "Most huge pages that were seen in use, in bytes, by page size.",
    ["pagesize"],
    (stats) => hugepages(stats, "most"),
  ),
];

function hugepages({ sample }: ContainerStats, key: "bytes" | "most"): Reading[] {
  return [...(sample?.hugepages ?? [])].map(([size, pages]) => ({ labels: [size], value: pages[key] }));
}

/** As asked for; else from the weight, which is 1 to 10000. */
function sharesOf({ container, sample }: ContainerStats): number | null {
  const asked = container.config.resources?.cpuShares ?? 0;
  if (asked > 0) return asked;
  const weight = sample?.cpu.weight ?? null;
  return weight === null ? null : 2 + Math.round(((weight - 1) * 262_142) / 9_999);
}

const PRESSURE: readonly ContainerMetric[] = (["cpu", "memory", "io"] as const).flatMap((resource) => {
  const read = (stats: ContainerStats): Pressure | null | undefined =>
    resource === "io" ? stats.sample?.ioPressure : stats.sample?.[resource].pressure;
  const what = { cpu: "CPU time", memory: "memory", io: "input and output" }[resource];
  return [
    single(
      "COUNTER",
      `container_pressure_${resource}_waiting_seconds_total`,
      `Time in which some task waited for ${what}, in seconds.`,
      (stats) => seconds(read(stats)?.some.totalMicros),
    ),
    single(
      "COUNTER",
      `container_pressure_${resource}_stalled_seconds_total`,
      `Time in which every task waited for ${what}, in seconds.`,
      (stats) => seconds(read(stats)?.full.totalMicros),
    ),
  ];
});

const PROCESSES: readonly ContainerMetric[] = [
  single("GAUGE", "container_processes", "Processes.", (stats) => processes(stats)?.processes),
  single("GAUGE", "container_threads", "Threads.", (stats) => processes(stats)?.threads),
  single("GAUGE", "container_threads_max", "Most threads allowed; 0 without a limit.", (stats) =>
    limit(stats.sample?.pidsMax),
  ),
  single(
    "GAUGE",
    "container_file_descriptors",
    "Open file descriptors.",
    (stats) => processes(stats)?.descriptors,
  ),
  single("GAUGE", "container_sockets", "Open sockets.", (stats) => processes(stats)?.sockets),
  labelled("GAUGE", "container_ulimits_soft", "Soft resource limits.", ["ulimit"], (stats) => [
    { labels: ["max_open_files"], value: processes(stats)?.softNofile },
  ]),
  single("GAUGE", "container_last_seen", "When it was last looked at, in seconds since the epoch.", (stats) =>
    seconds(stats.sample?.at),
  ),
  single(
    "GAUGE",
    "container_start_time_seconds",
    "When it was started, in seconds since the epoch.",
    (stats) => seconds(stats.container.startedAt),
  ),
];

export const RESOURCE_METRICS: readonly ContainerMetric[] = [...CPU, ...MEMORY, ...PRESSURE, ...PROCESSES];
