// Metrics of disks and file systems.

import type { ContainerStats, FilesystemCapacity } from "../types/stats.ts";
import { type ContainerMetric, labelled, type MetricInfo, type Reading } from "./metric.ts";

type Filesystem = FilesystemCapacity | null;

function ofFilesystem(
  name: string,
  help: string,
  read: (filesystem: FilesystemCapacity, stats: ContainerStats) => number | undefined,
): ContainerMetric {
  return labelled("GAUGE", name, help, ["device"], (stats, filesystem: Filesystem) =>
    filesystem === null ? [] : [{ labels: [filesystem.device], value: read(filesystem, stats) }],
  );
}

/** A line of io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" (cgroup-v2, "IO Interface Files"). */
interface DeviceCounters {
  readonly device: string;
  readonly counters: ReadonlyMap<string, number>;
}

function deviceCounters({ sample }: ContainerStats): DeviceCounters[] {
  return (sample?.io ?? "").split("\n").flatMap((line) => {
    const [device = "", ...pairs] = line.trim().split(" ");
    if (!/^\d+:\d+$/.test(device)) return [];
    const counters = new Map<string, number>();
    for (const pair of pairs) {
      const [key = "", value = ""] = pair.split("=");
      if (/^\d+$/.test(value)) counters.set(key, Number(value));
    }
    return [{ device, counters }];
  });
}

function ofDevices(name: string, help: string, key: string): ContainerMetric {
  const kind: MetricInfo["kind"] = "COUNTER";
  return labelled(kind, name, help, ["device"], (stats) =>
    deviceCounters(stats).map(
      ({ device, counters }): Reading => ({ labels: [device], value: counters.get(key) }),
    ),
  );
}

export const STORAGE_METRICS: readonly ContainerMetric[] = [
  labelled(
    "COUNTER",
    "container_blkio_device_usage_total",
    "Bytes moved to and from a block device.",
    ["device", "major", "minor", "operation"],
    (stats) =>
      deviceCounters(stats).flatMap(({ device, counters }) => {
        const [major = "", minor = ""] = device.split(":");
        return [
          { labels: [device, major, minor, "Read"], value: counters.get("rbytes") },
          { labels: [device, major, minor, "Write"], value: counters.get("wbytes") },
        ];
      }),
  ),
  ofDevices("container_fs_reads_bytes_total", "Bytes read from a block device.", "rbytes"),
  ofDevices("container_fs_reads_total", "Read operations of a block device.", "rios"),
  ofDevices("container_fs_writes_bytes_total", "Bytes written to a block device.", "wbytes"),
  ofDevices("container_fs_writes_total", "Write operations of a block device.", "wios"),
  ofFilesystem(
    "container_fs_usage_bytes",
    "What the container wrote to its own layer, in bytes.",
    (_filesystem, stats) => stats.writableLayer?.bytes,
  ),
  ofFilesystem(
    "container_fs_limit_bytes",
    "Size of the file system that holds the container's layer, in bytes.",
    ({ bytes }) => bytes,
  ),
  ofFilesystem(
    "container_fs_inodes_total",
    "Inodes of the file system that holds the container's layer.",
    ({ inodes }) => inodes,
  ),
  ofFilesystem(
    "container_fs_inodes_free",
    "Free inodes of the file system that holds the container's layer.",
    ({ inodesFree }) => inodesFree,
  ),
];
