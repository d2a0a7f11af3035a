// What a monitor does before it answers: the namespaces of its pod and what is in them.

import { BerthError } from "../lib/errors.ts";
import type { Plan, PlanStep } from "../types/plan.ts";
import type { PodConfig } from "../types/pod.ts";
import type { PodPlanInput } from "./inputs.ts";
import { checkPodNamespaces, podUnshareFlags } from "./namespaces.ts";
import { sysctlSteps } from "./sysctls.ts";
import { hostRoot, idMapText, nobodyOf, userMappingOf } from "./user-namespace.ts";

/** Size of a pod's /dev/shm, what docker and the kubelet's peers give. */
const SHM_BYTES = 64 * 1024 * 1024;
/** __NEW_UTS_LEN. */
const MAX_HOSTNAME_BYTES = 64;

/**
 * The plan of a pod. Sysctls come after the namespaces they belong to; the /dev/shm after the IPC namespace.
 * INVALID_ARGUMENT for modes, hostnames and sysctls that a pod cannot have (cri-api, PodSandboxConfig).
 */
export function buildPodPlan(input: PodPlanInput): Plan {
  const { config } = input;
  const { network, ipc, pid } = config.security.namespaces;
  checkPodNamespaces(config.security.namespaces);
  const flags = podUnshareFlags(config);
  const steps: PlanStep[] = [];
  if (network !== "NODE") steps.push({ op: "join-netns", path: input.netnsPath });
  const mapping = userMappingOf(config.security.namespaces);
  if (mapping !== null) {
    steps.push({
      op: "user-namespace",
      netnsPath: network === "NODE" ? "" : input.netnsPath,
      uidMap: idMapText([mapping.uids]),
      gidMap: idMapText([mapping.gids]),
    });
  }
  if (flags !== 0) steps.push({ op: "unshare", flags });
  if (network !== "NODE" && config.hostname !== "") {
    steps.push({ op: "set-hostname", hostname: checkedHostname(config) });
  }
  steps.push(...sysctlSteps(config));
  if (input.mountLabel !== undefined) steps.push({ op: "mount-label", label: input.mountLabel });
  if (ipc !== "NODE") steps.push({ op: "create-shm", sizeBytes: SHM_BYTES, ...hostRoot(mapping) });
  if (pid === "POD") steps.push({ op: "pod-init", nobody: nobodyOf(mapping) });
  return { cloneFlags: 0, pidNamespace: "own", steps };
}

function checkedHostname(config: PodConfig): string {
  const { hostname } = config;
  if (/^[A-Za-z0-9._-]+$/.test(hostname) && Buffer.byteLength(hostname) <= MAX_HOSTNAME_BYTES)
    return hostname;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `hostname ${JSON.stringify(hostname)}: 1 to ${MAX_HOSTNAME_BYTES} letters, digits, ".", "_" or "-"`,
  );
}
