// Counters of a pod's network interfaces.

import type { StatsKernel } from "../kernel/kernel.ts";
import { nowMicros } from "../lib/clock.ts";
import { inTurns } from "../lib/turns.ts";
import type { ProcessRef } from "../types/pod.ts";
import type { InterfaceSample, NetworkSample } from "../types/stats.ts";

/** More than pods have: a container may make interfaces at will. */
const MOST_INTERFACES = 64;
/** Processes per look: their texts go through the event loop. */
const AT_ONCE = 256;

/** Of the network namespaces that the processes are in; null for those that are gone. */
export async function interfaceCounters(
  kernel: Pick<StatsKernel, "readNetworkDevices">,
  processes: readonly ProcessRef[],
): Promise<(NetworkSample | null)[]> {
  const found: (NetworkSample | null)[] = [];
  for (let start = 0; start < processes.length; start += AT_ONCE) {
    const texts = await kernel.readNetworkDevices(processes.slice(start, start + AT_ONCE));
    const at = nowMicros();
    await inTurns(texts, (text) =>
      found.push(text === "" ? null : { at, interfaces: parseNetworkDevices(text) }),
    );
  }
  return found;
}

/** /proc/net/dev without the loopback: two lines of titles, then "name: 16 numbers". */
export function parseNetworkDevices(text: string): InterfaceSample[] {
  const found: InterfaceSample[] = [];
  for (const line of text.split("\n").slice(2)) {
    const [, name = "", rest = ""] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
    const numbers = rest.split(/\s+/).map(Number);
    if (name === "" || name === "lo" || numbers.length < 12 || found.length === MOST_INTERFACES) continue;
    const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0] = numbers;
    const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = numbers.slice(8);
    found.push({ name, rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped });
  }
  return found;
}
