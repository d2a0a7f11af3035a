// What the verbs of pods work with.

import type { ContainerDeps, ContainerParts } from "../containers/deps.ts";
import { makeContainerDeps } from "../containers/deps.ts";
import { SingleFlight } from "../lib/single-flight.ts";
import type { NetworkDriver } from "../network/driver.ts";
import type { PodId } from "../types/ids.ts";

export interface PodDeps extends ContainerDeps {
  readonly network: NetworkDriver;
  /** Why pods cannot have user namespaces on this host; "" when they can. */
  readonly userNamespacesMissing: string;
  /** RunPodSandbox by namespace, name, uid and attempt. */
  readonly running: SingleFlight<PodId>;
  /** StopPodSandbox and RemovePodSandbox by pod id. */
  readonly stopping: SingleFlight<void>;
  readonly removingPods: SingleFlight<void>;
}

export type PodParts = ContainerParts & Pick<PodDeps, "network" | "userNamespacesMissing">;

/** Adds what the verbs keep in memory. */
export function makePodDeps(parts: PodParts): PodDeps {
  return {
    ...makeContainerDeps(parts),
    network: parts.network,
    userNamespacesMissing: parts.userNamespacesMissing,
    running: new SingleFlight(),
    stopping: new SingleFlight(),
    removingPods: new SingleFlight(),
  };
}
