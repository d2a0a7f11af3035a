// What a metric is: a name, what it tells, and how it is read off what was measured.

import type { ContainerStats, FilesystemCapacity, InterfaceSample } from "../types/stats.ts";

export interface MetricInfo {
  readonly name: string;
  readonly help: string;
  readonly kind: "COUNTER" | "GAUGE";
  /** Labels beside those that every metric has. */
  readonly labels: readonly string[];
}

export interface ContainerMetric extends MetricInfo {
  /** Nothing, or null values, where the host does not count this. */
  read(stats: ContainerStats, filesystem: FilesystemCapacity | null): readonly Reading[];
}

export interface InterfaceMetric extends MetricInfo {
  read(counters: InterfaceSample): number;
}

export interface Reading {
  readonly labels: readonly string[];
  readonly value: number | null | undefined;
}

/** A metric of one value. */
export function single(
  kind: MetricInfo["kind"],
  name: string,
  help: string,
  read: (stats: ContainerStats, filesystem: FilesystemCapacity | null) => number | null | undefined,
): ContainerMetric {
  return {
    name,
    help,
    kind,
    labels: [],
    read: (stats, filesystem) => [{ labels: [], value: read(stats, filesystem) }],
  };
}

/** A metric of several values, told apart by labels of its own. */
export function labelled(
  kind: MetricInfo["kind"],
  name: string,
  help: string,
  labels: readonly string[],
  read: ContainerMetric["read"],
): ContainerMetric {
  return { name, help, kind, labels, read };
}
