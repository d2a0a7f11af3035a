// The state of a pod sandbox, derived from facts and never stored.

import { BerthError } from "../lib/errors.ts";
import type { ListedPod, Pod, PodMetadata, PodState } from "../types/pod.ts";

/**
 * READY from the commit of RunPodSandbox until a stop or removal begins or the monitor is lost; never again.
 */
export function stateOfPod(row: Pick<Pod, "readyAt" | "stoppedAt" | "removingAt">): PodState {
  return row.readyAt !== null && row.stoppedAt === null && row.removingAt === null ? "READY" : "NOTREADY";
}

/** FAILED_PRECONDITION when the pod is not READY. */
export function requireReady(row: Parameters<typeof stateOfPod>[0], doing: string): void {
  if (stateOfPod(row) === "READY") return;
  throw new BerthError("FAILED_PRECONDITION", `${doing}: it is NOTREADY`);
}

/** True when nothing of a stopped pod is left in the kernel and in the network. */
export function isReleased(row: Pick<Pod, "stoppedAt" | "networkHeld" | "monitor">): boolean {
  return row.stoppedAt !== null && !row.networkHeld && row.monitor === null;
}

/** Pods of `berth run --rm` remove themselves when their container ends. */
export const AUTO_REMOVE_ANNOTATION = "berth.auto-remove";

export function removesItself(row: Pick<ListedPod, "config">): boolean {
  return row.config.annotations[AUTO_REMOVE_ANNOTATION] === "true";
}

/** How errors name a pod that has no id yet, or whose client knows it by its metadata. */
export function podTitle({ config }: Pick<Pod, "config">): string {
  const { namespace, name } = config.metadata;
  return `pod sandbox "${namespace}/${name}"`;
}

/** Key of a RunPodSandbox in `deps.running`: its idempotency key. */
export function runKey({ namespace, name, uid, attempt }: PodMetadata): string {
  return JSON.stringify([namespace, name, uid, attempt]);
}
