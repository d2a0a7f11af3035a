import { stateOfContainer } from "../containers/container-lifecycle.ts";
import { listContainers } from "../containers/list-containers.ts";
import type { ResolveRequest, ResolveResponse } from "../gen/berth/v1/engine.ts";
import { inTurns } from "../lib/turns.ts";
import { listPodSandbox } from "../pods/list-pod-sandbox.ts";
import type { ListedContainer } from "../types/container.ts";
import type { ListedPod } from "../types/pod.ts";
import type { EngineDeps } from "./deps.ts";
import { containerName, isOwnPod, pick } from "./names.ts";

/** The pods by id. */
export async function podsById(deps: EngineDeps): Promise<Map<string, ListedPod>> {
  const pods = new Map<string, ListedPod>();
  await inTurns(await listPodSandbox(deps), (pod) => pods.set(pod.id, pod));
  return pods;
}

/** The container that `wanted` names (see pick). */
export async function findContainer(
  deps: EngineDeps,
  wanted: string,
): Promise<{ container: ListedContainer; pod?: ListedPod }> {
  const pods = await podsById(deps);
  const nameOf = (container: ListedContainer) => containerName(container, pods.get(container.podId));
  const container = pick("container", await listContainers(deps), nameOf, wanted);
  const pod = pods.get(container.podId);
  return pod === undefined ? { container } : { container, pod };
}

/** Full ids and the state of the container that the request names. */
export async function resolve(deps: EngineDeps, request: ResolveRequest): Promise<ResolveResponse> {
  const { container, pod } = await findContainer(deps, request.container);
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
