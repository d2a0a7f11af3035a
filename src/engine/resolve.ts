import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { containersInFull } from "../containers/containers-in-full.ts";
import type { ResolveRequest, ResolveResponse } from "../gen/berth/v1/engine.ts";
import { podsInFull } from "../pods/pods-in-full.ts";
import type { Container } from "../types/container.ts";
import type { Pod } from "../types/pod.ts";
import type { EngineDeps } from "./deps.ts";
import { containerName, isOwnPod, pick } from "./names.ts";

/** The pods by id. */
export function podsById(deps: EngineDeps): Map<string, Pod> {
  return new Map(podsInFull(deps, {}).map((pod) => [pod.id, pod]));
}

/** The container that `wanted` names (see pick). */
export function findContainer(deps: EngineDeps, wanted: string): { container: Container; pod?: Pod } {
  const pods = podsById(deps);
  const nameOf = (container: Container) => containerName(container, pods.get(container.podId));
  const container = pick("container", containersInFull(deps, {}), nameOf, wanted);
  const pod = pods.get(container.podId);
  return pod === undefined ? { container } : { container, pod };
}

/** Full ids and the state of the container that the request names. */
export function resolve(deps: EngineDeps, request: ResolveRequest): ResolveResponse {
  const { container, pod } = findContainer(deps, request.container);
  return {
    containerId: container.id,
    podId: container.podId,
    name: containerName(container, pod),
    state: stateOfContainer(container).toLowerCase(),
    tty: container.config.tty,
    stdin: container.config.stdin,
    ownsPod: pod !== undefined && isOwnPod(pod),
  };
}
