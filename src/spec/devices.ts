// /dev: the nodes and links that every Linux program may expect, and the devices that were asked for.

import { posix } from "node:path";
import { BerthError } from "../lib/errors.ts";
import { S_IFBLK, S_IFCHR } from "../types/linux.ts";
import type { PlanStep } from "../types/plan.ts";
import type { ContainerPlanInput, DeviceNode } from "./inputs.ts";
import { absolutePath } from "./process.ts";
import { hostRoot, userMappingOf } from "./user-namespace.ts";

/** Default devices of the OCI runtime specification (config-linux.md), all character devices of mode 0666. */
const STANDARD_NODES = [
  { path: "/dev/null", major: 1, minor: 3 },
  { path: "/dev/zero", major: 1, minor: 5 },
  { path: "/dev/full", major: 1, minor: 7 },
  { path: "/dev/random", major: 1, minor: 8 },
  { path: "/dev/urandom", major: 1, minor: 9 },
  { path: "/dev/tty", major: 5, minor: 0 },
] as const;

const LINKS = [
  ["/proc/self/fd", "/dev/fd"],
  ["/proc/self/fd/0", "/dev/stdin"],
  ["/proc/self/fd/1", "/dev/stdout"],
  ["/proc/self/fd/2", "/dev/stderr"],
  ["/proc/kcore", "/dev/core"],
  ["pts/ptmx", "/dev/ptmx"],
] as const;

/** Places in /dev that are mounts or links of the container's own. */
const OWN_PLACES = [
  "/dev/pts",
  "/dev/shm",
  "/dev/mqueue",
  "/dev/console",
  "/dev/ptmx",
  "/dev/fd",
  "/dev/stdin",
  "/dev/stdout",
  "/dev/stderr",
  "/dev/core",
];

export function standardNodes(): DeviceNode[] {
  return STANDARD_NODES.map((node) => ({ ...node, type: "c", mode: 0o666, uid: 0, gid: 0, access: "rwm" }));
}

/** Those of the host keep its owners also in a user namespace, where they are nobody's. */
export function isOfHost(node: DeviceNode): boolean {
  const { path, major, minor } = node;
  return !STANDARD_NODES.some((own) => own.path === path && own.major === major && own.minor === minor);
}

/** Nodes and links of a fresh /dev. Requested devices replace others of the same path. */
export function deviceSteps(input: ContainerPlanInput): PlanStep[] {
  const nodes = new Map<string, DeviceNode>();
  for (const node of standardNodes()) nodes.set(node.path, node);
  for (const node of privilegedNodes(input)) nodes.set(node.path, node);
  for (const node of requestedNodes(input)) nodes.set(node.path, node);
  const steps: PlanStep[] = [];
  const mapping = userMappingOf(input.pod.security.namespaces);
  const directories = new Set<string>(["/", "/dev"]);
  for (const node of nodes.values()) {
    const parent = posix.dirname(node.path);
    if (!directories.has(parent)) {
      directories.add(parent);
      steps.push({ op: "make-dir", target: parent, mode: 0o755, ...hostRoot(mapping) });
    }
    steps.push(nodeStep(node, mapping !== null && isOfHost(node)));
  }
  return steps.concat(LINKS.map(([content, target]) => ({ op: "symlink", content, target })));
}

/** Devices beyond the standard ones that the container gets, without duplicates. */
export function extraNodes(input: ContainerPlanInput): DeviceNode[] {
  const nodes = new Map<string, DeviceNode>();
  for (const node of privilegedNodes(input)) nodes.set(node.path, node);
  for (const node of requestedNodes(input)) nodes.set(node.path, node);
  return [...nodes.values()];
}

function privilegedNodes(input: ContainerPlanInput): DeviceNode[] {
  if (!input.container.security.privileged) return [];
  return input.hostDevices.filter((node) => {
    return !OWN_PLACES.some((place) => node.path === place || node.path.startsWith(`${place}/`));
  });
}

function requestedNodes(input: ContainerPlanInput): DeviceNode[] {
  return input.devices.map((node) => {
    const path = absolutePath(node.path, "device");
    if (!OWN_PLACES.some((place) => path === place || path.startsWith(`${place}/`)) && path !== "/") {
      return { ...node, path };
    }
    throw new BerthError(
      "INVALID_ARGUMENT",
      `device "${path}": this place in the container is taken; use another`,
    );
  });
}

/** Makes the node at `target`. In a user namespace a device of the host keeps the owner that it has there. */
export function nodeStep(node: DeviceNode, setOwner: boolean, target = node.path): PlanStep {
  return {
    op: "make-node",
    target,
    mode: (node.type === "b" ? S_IFBLK : S_IFCHR) | (node.mode & 0o7777),
    major: node.major,
    minor: node.minor,
    uid: node.uid,
    gid: node.gid,
    setOwner,
  };
}
