// Enum values of the CRI as the names that the verbs use, in the order of their numbers from 0.
// Zero is never "unknown": it is POD, READY, CREATED, SYSTEMD.

import type { ContainerState, MountPropagation } from "../types/container.ts";
import type { NamespaceMode, PodState, PortMapping, SecurityProfile } from "../types/pod.ts";

export const namespaceModes: readonly NamespaceMode[] = ["POD", "CONTAINER", "NODE", "TARGET"];
export const protocols: readonly PortMapping["protocol"][] = ["TCP", "UDP", "SCTP"];
export const propagations: readonly MountPropagation[] = ["PRIVATE", "HOST_TO_CONTAINER", "BIDIRECTIONAL"];
export const profileTypes: readonly SecurityProfile["type"][] = ["RuntimeDefault", "Unconfined", "Localhost"];
export const groupsPolicies: readonly ("Merge" | "Strict")[] = ["Merge", "Strict"];
export const podStates: readonly PodState[] = ["READY", "NOTREADY"];
export const containerStates: readonly ContainerState[] = ["CREATED", "RUNNING", "EXITED", "UNKNOWN"];
export const cgroupDrivers: readonly ("systemd" | "cgroupfs")[] = ["systemd", "cgroupfs"];

/** The number of `name` as the generated type of that enum. */
export function enumNumber<Name extends string, Wire extends number>(
  names: readonly Name[],
  name: Name,
): Wire {
  return names.indexOf(name) as Wire;
}
