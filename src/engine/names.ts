// Names of containers and pods as people write them: a name, an id, or the beginning of an id.

import { BerthError } from "../lib/errors.ts";
import type { MeasuredContainer } from "../types/container.ts";
import type { ListedPod } from "../types/pod.ts";

/** Label that `berth run` puts on a pod and its container. */
export const NAME_LABEL = "berth.name";
/** Namespace of the pods that `berth run` makes. */
export const NAMESPACE = "berth";

/** What a listing calls the container: its own name, or "namespace/pod/container" for those of a kubelet. */
export function containerName(container: MeasuredContainer, pod: ListedPod | undefined): string {
  const label = container.config.labels[NAME_LABEL];
  if (label !== undefined && label !== "") return label;
  const own = container.config.metadata.name;
  if (pod === undefined) return own;
  const { namespace, name } = pod.config.metadata;
  return `${namespace}/${name}/${own}`;
}

export function podName(pod: ListedPod): string {
  const { namespace, name } = pod.config.metadata;
  return namespace === NAMESPACE ? name : `${namespace}/${name}`;
}

/** Whether the pod was made by `berth run`, for one container that it lives and ends with. */
export function isOwnPod(pod: ListedPod): boolean {
  return pod.config.metadata.namespace === NAMESPACE && pod.config.labels[NAME_LABEL] !== undefined;
}

/**
 * Finds the one object that `wanted` names: by full id, else by name, else by the beginning of its id.
 *
 * @throws BerthError NOT_FOUND; INVALID_ARGUMENT when several fit
 */
export function pick<T extends { readonly id: string }>(
  kind: string,
  objects: readonly T[],
  nameOf: (object: T) => string,
  wanted: string,
): T {
  if (wanted === "") throw new BerthError("INVALID_ARGUMENT", `find ${kind}: the name is empty`);
  const exact = objects.find((object) => object.id === wanted);
  if (exact !== undefined) return exact;
  const named = objects.filter((object) => nameOf(object) === wanted);
  const found = named.length > 0 ? named : objects.filter((object) => object.id.startsWith(wanted));
  const [first, second] = found;
  if (first === undefined) {
    throw new BerthError("NOT_FOUND", `no such ${kind}: "${wanted}"; "berth ps -a" lists what there is`);
  }
  if (second !== undefined) {
    const ids = found.slice(0, 4).map((object) => object.id.slice(0, 12));
    throw new BerthError(
      "INVALID_ARGUMENT",
      `"${wanted}" fits ${found.length} ${kind}s (${ids.join(", ")}${found.length > 4 ? ", …" : ""}): ` +
        "give more of the id",
    );
  }
  return first;
}
