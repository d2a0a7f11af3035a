// What a container may do with device nodes (OCI runtime spec, config-linux.md, "Allowed Device list").

import type { DeviceRule } from "../kernel/kernel.ts";
import { standardNodes } from "./devices.ts";
import type { ContainerPlanInput } from "./inputs.ts";

/** Making a node opens nothing; opening is what the rules are about. */
const MAKE_NODES: readonly DeviceRule[] = [
  { type: "c", access: "m" },
  { type: "b", access: "m" },
];

/** /dev/console, /dev/ptmx and the terminals of the container's own devpts. */
const TERMINALS: readonly DeviceRule[] = [
  { type: "c", major: 5, minor: 1, access: "rwm" },
  { type: "c", major: 5, minor: 2, access: "rwm" },
  { type: "c", major: 136, access: "rwm" },
];

/** Null for a privileged container: it may do everything. */
export function deviceRules(
  input: Pick<ContainerPlanInput, "container" | "devices">,
): readonly DeviceRule[] | null {
  if (input.container.security.privileged) return null;
  const standard = standardNodes().map(({ type, major, minor }) => ({ type, major, minor, access: "rwm" }));
  const requested = input.devices.map(({ type, major, minor, access }) => ({ type, major, minor, access }));
  return [...MAKE_NODES, ...standard, ...TERMINALS, ...requested];
}
