// Metrics of a pod's network interfaces.

import type { InterfaceSample } from "../types/stats.ts";
import type { InterfaceMetric } from "./metric.ts";

function ofInterface(
  name: string,
  help: string,
  key: Exclude<keyof InterfaceSample, "name">,
): InterfaceMetric {
  return { name, help, kind: "COUNTER", labels: ["interface"], read: (counters) => counters[key] };
}

export const NETWORK_METRICS: readonly InterfaceMetric[] = [
  ofInterface("container_network_receive_bytes_total", "Bytes received.", "rxBytes"),
  ofInterface("container_network_receive_packets_total", "Packets received.", "rxPackets"),
  ofInterface("container_network_receive_errors_total", "Errors while receiving.", "rxErrors"),
  ofInterface(
    "container_network_receive_packets_dropped_total",
    "Packets dropped while receiving.",
    "rxDropped",
  ),
  ofInterface("container_network_transmit_bytes_total", "Bytes sent.", "txBytes"),
  ofInterface("container_network_transmit_packets_total", "Packets sent.", "txPackets"),
  ofInterface("container_network_transmit_errors_total", "Errors while sending.", "txErrors"),
  ofInterface(
    "container_network_transmit_packets_dropped_total",
    "Packets dropped while sending.",
    "txDropped",
  ),
];
