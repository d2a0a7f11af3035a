// Kernel parameters of a pod: only those that belong to a namespace the pod has to itself.

import { BerthError } from "../lib/errors.ts";
import type { PlanStep } from "../types/plan.ts";
import type { PodConfig } from "../types/pod.ts";
import { userMappingOf } from "./user-namespace.ts";

const IPC_KEYS = /^(?:kernel\/(?:shm[a-z_]+|msg[a-z_]+|sem)|fs\/mqueue\/[a-z_]+)$/;
const NET_KEYS = /^net(?:\/[A-Za-z0-9_.:@-]+)+$/;

/** Without these a process that is not root cannot serve port 80 or ping, in a network of the pod's alone. */
function networkDefaults(groups: number): Readonly<Record<string, string>> {
  return {
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv4/ping_group_range": `0 ${Math.min(groups, MAX_GROUPS) - 1}`,
  };
}

/** GID_T_MAX: more the kernel does not take there. */
const MAX_GROUPS = 0x8000_0000;

/** Sysctl steps, the network's defaults first. INVALID_ARGUMENT for a key that is not the pod's. */
export function sysctlSteps(config: PodConfig): PlanStep[] {
  const values = new Map<string, string>();
  const { network, ipc } = config.security.namespaces;
  if (network !== "NODE") {
    const mapping = userMappingOf(config.security.namespaces);
    const defaults = networkDefaults(mapping?.gids.length ?? MAX_GROUPS);
    for (const [key, value] of Object.entries(defaults)) values.set(key, value);
  }
  for (const [name, value] of Object.entries(config.sysctls)) {
    const key = sysctlPath(name);
    const isNet = NET_KEYS.test(key);
    if (!isNet && !IPC_KEYS.test(key)) {
      throw refused(
        name,
        "is not namespaced; net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.* are",
      );
    }
    if (isNet && network === "NODE") throw refused(name, "would change the host: the pod uses its network");
    if (!isNet && ipc === "NODE")
      throw refused(name, "would change the host: the pod uses its IPC namespace");
    values.set(key, value);
  }
  return [...values].map(([key, value]) => ({ op: "sysctl", key, value }));
}

/**
 * Path below /proc/sys of a key written with dots or slashes (sysctl(8): the first separator decides, the
 * other one then stands for itself, so that "net.ipv4.conf.eth0/1.mtu" names the interface "eth0.1").
 */
export function sysctlPath(name: string): string {
  const separator = /[./]/.exec(name)?.[0];
  const swapped = separator === "." ? name.replace(/[./]/g, (mark) => (mark === "." ? "/" : ".")) : name;
  const steps = swapped.split("/");
  const clean = /^[A-Za-z0-9_.:@/-]+$/.test(swapped);
  if (
    separator === undefined ||
    !clean ||
    steps.some((step) => step === "" || step === "." || step === "..")
  ) {
    throw refused(name, "is not a key such as net.ipv4.ip_forward");
  }
  return swapped;
}

function refused(name: string, why: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", `sysctl ${JSON.stringify(name)}: ${why}`);
}
