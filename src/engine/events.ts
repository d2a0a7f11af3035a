// Events as `berth events` shows them, named and worded when they happen: later their object may be gone.

import { containersInFull } from "../containers/containers-in-full.ts";
import type { EventsResponse } from "../gen/berth/v1/engine.ts";
import { codeOf } from "../lib/errors.ts";
import { EventFeed } from "../lib/event-feed.ts";
import type { PodDeps } from "../pods/deps.ts";
import { podSandboxStatus } from "../pods/pod-sandbox-status.ts";
import type { Container } from "../types/container.ts";
import type { BerthEvent } from "../types/events.ts";
import type { PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import { containerName, podName } from "./names.ts";

const ACTIONS: Readonly<Record<BerthEvent["type"], string>> = {
  "container-created": "create",
  "container-started": "start",
  "container-stopped": "die",
  "container-removed": "destroy",
  "pod-ready": "start",
  "pod-stopped": "stop",
  "pod-removed": "destroy",
  "image-pulled": "pull",
  "image-tagged": "tag",
  "image-removed": "delete",
};

type Named = Pick<PodDeps, "store">;

export class EngineEvents {
  readonly #deps: Named;
  readonly #feed = new EventFeed<EventsResponse>();

  constructor(deps: Named) {
    this.#deps = deps;
  }

  /** To be called with every event, in order. */
  readonly onEvent = (event: BerthEvent): void => {
    if (this.#feed.isRead) this.#feed.push(worded(this.#deps, event));
  };

  read(signal: AbortSignal): AsyncIterable<EventsResponse> {
    return this.#feed.read(signal);
  }

  close(): void {
    this.#feed.close();
  }
}

function worded(deps: Named, event: BerthEvent): EventsResponse {
  const common = { ...NOTHING, at: BigInt(event.at), action: ACTIONS[event.type] };
  if ("imageId" in event) return { ...common, type: "image", id: event.imageId };
  const pod = event.type === "pod-removed" ? event.pod : podOf(deps, event.podId);
  if (!("containerId" in event)) {
    return { ...common, type: "pod", id: event.podId, podId: event.podId, name: pod ? podName(pod) : "" };
  }
  const container =
    event.type === "container-removed"
      ? event.container
      : containersInFull(deps, event.podId).find(({ id }) => id === event.containerId);
  return { ...common, ...ofContainer(container, pod), id: event.containerId, podId: event.podId };
}

/** Undefined when it is gone, or not ready yet. */
function podOf(deps: Named, id: PodId): Pod | undefined {
  try {
    return podSandboxStatus(deps, id);
  } catch (error) {
    if (codeOf(error) === "NOT_FOUND") return undefined;
    throw error;
  }
}

const NOTHING = { id: "", name: "", podId: "", image: "", exitCode: 0, oomKilled: false };

function ofContainer(container: Container | undefined, pod: Pod | undefined) {
  if (container === undefined) return { type: "container" };
  return {
    type: "container",
    name: containerName(container, pod),
    image: container.config.image.userSpecifiedImage || container.imageRef,
    exitCode: container.exitCode ?? 0,
    oomKilled: container.oomKilled,
  };
}
