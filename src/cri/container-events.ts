// The events of the CRI (GetContainerEvents): each carries the state of its pod and of all the pod's
// containers. What happened while nobody read, at recovery for instance, is told to those who come within
// some minutes.

import type * as proto from "../gen/runtime/v1/api.ts";
import { nowMicros } from "../lib/clock.ts";
import { codeOf } from "../lib/errors.ts";
import { EventFeed } from "../lib/event-feed.ts";
import { eachInTurns } from "../lib/turns.ts";
import type { Container } from "../types/container.ts";
import type { BerthEvent } from "../types/events.ts";
import type { Micros, PodId } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";
import { containerStatusToProto, rememberImages } from "./container-to-proto.ts";
import { nanoseconds, podSandboxStatusToProto } from "./pod-to-proto.ts";
import type { CriVerbs } from "./verbs.ts";

const MISSED_FOR_MICROS = 300_000_000;
const MOST_MISSED = 1_000;

/** CRI, ContainerEventType. A sandbox that is ready was created and started. */
const TYPES: Readonly<Record<News["event"]["type"], readonly proto.ContainerEventType[]>> = {
  "pod-ready": [0, 1],
  "pod-stopped": [2],
  "pod-removed": [3],
  "container-created": [0],
  "container-started": [1],
  "container-stopped": [2],
  "container-removed": [3],
};

type Reads = Pick<CriVerbs, "podSandboxStatus" | "containersInFull" | "imageStatus">;

interface News {
  readonly event: Exclude<BerthEvent, { imageId: string }>;
  /** When it became known: the statuses that go with it are not older. */
  readonly at: Micros;
}

export class ContainerEvents {
  readonly #verbs: Reads;
  readonly #feed = new EventFeed<proto.ContainerEventResponse>();
  #missed: News[] = [];

  constructor(verbs: Reads) {
    this.#verbs = verbs;
  }

  /** To be called with every event, in order. */
  readonly onEvent = (event: BerthEvent): void => {
    if ("imageId" in event) return;
    const news = { event, at: nowMicros() };
    if (this.#feed.isRead) {
      for (const message of this.#render(news)) this.#feed.push(message);
      return;
    }
    this.#forget(news.at);
    this.#missed.push(news);
    if (this.#missed.length > MOST_MISSED) this.#missed.shift();
  };

  read(signal: AbortSignal): AsyncIterable<proto.ContainerEventResponse> {
    this.#forget(nowMicros());
    // Whoever comes a second time is told again: an event is a state and its time, and does no harm.
    return this.#replay([...this.#missed], this.#feed.read(signal), signal);
  }

  /** What was missed, then what `live` has held back meanwhile, and what comes. */
  async *#replay(
    missed: readonly News[],
    live: AsyncGenerator<proto.ContainerEventResponse, void>,
    signal: AbortSignal,
  ): AsyncGenerator<proto.ContainerEventResponse, void> {
    for await (const news of eachInTurns(missed)) {
      if (signal.aborted) break;
      yield* this.#render(news);
    }
    yield* live;
  }

  close(): void {
    this.#feed.close();
  }

  #forget(now: Micros): void {
    const from = this.#missed.findIndex(({ at }) => at >= now - MISSED_FOR_MICROS);
    if (from !== 0) this.#missed = from < 0 ? [] : this.#missed.slice(from);
  }

  #render({ event, at }: News): proto.ContainerEventResponse[] {
    const pod =
      event.type === "pod-removed" ? { ...event.pod, removingAt: event.at } : this.#pod(event.podId);
    // Removed since: that it is gone is told by an event of its own.
    if (pod === null) return [];
    const containers = event.type === "pod-removed" ? [] : this.#containers(event.podId);
    return TYPES[event.type].map((containerEventType) => ({
      containerId: "containerId" in event ? event.containerId : event.podId,
      containerEventType,
      createdAt: nanoseconds(at),
      podSandboxStatus: podSandboxStatusToProto(pod),
      containersStatuses: containers,
    }));
  }

  #pod(id: PodId): Pod | null {
    try {
      return this.#verbs.podSandboxStatus(id);
    } catch (error) {
      if (codeOf(error) === "NOT_FOUND") return null;
      throw error;
    }
  }

  #containers(podId: PodId): proto.ContainerStatus[] {
    return statusesOfPod(this.#verbs, podId);
  }
}

/** The status of every container of a pod, the oldest first. */
export function statusesOfPod(
  verbs: Pick<CriVerbs, "containersInFull" | "imageStatus">,
  podId: PodId,
): proto.ContainerStatus[] {
  const images = rememberImages(verbs.imageStatus);
  const toProto = (container: Container) => containerStatusToProto(container, images);
  return verbs.containersInFull(podId).map(toProto);
}
