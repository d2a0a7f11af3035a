import { BerthError } from "../lib/errors.ts";
import { findPod } from "../store/pods.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import type { PodDeps } from "./deps.ts";

/** The row of a pod that clients may see. NOT_FOUND otherwise. */
export function podSandboxStatus(deps: Pick<PodDeps, "store">, id: PodId): Pod {
  const pod = findPod(deps.store, id);
  if (pod === null || pod.readyAt === null) {
    throw new BerthError("NOT_FOUND", `pod sandbox "${id}": no such pod sandbox`);
  }
  return pod;
}
