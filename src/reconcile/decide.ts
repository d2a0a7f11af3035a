// What to do about a pod, given its rows and what was found in the kernel. Pure.

import type { MonitoredContainer } from "../monitor/monitor.ts";
import { isReleased, removesItself, stateOfPod } from "../pods/pod-lifecycle.ts";
import type { Container, ExitFacts } from "../types/container.ts";
import type { ContainerId, Micros } from "../types/ids.ts";
import type { Pod } from "../types/pod.ts";

export interface ContainerObservation {
  /** What the monitor says; null when it does not know the container or is not connected. */
  readonly monitored: MonitoredContainer | null;
  /** The exit record on disk. */
  readonly record: ExitFacts | null;
}

export interface PodObservation {
  /** The pod was made since the machine's last start. */
  readonly sameBoot: boolean;
  readonly monitorAlive: boolean;
  /**
   * "fresh": connected just now, so that `monitored` of the containers is the truth. "known": connected
   * before, and the monitor has told everything since. "none": it does not answer.
   */
  readonly connection: "fresh" | "known" | "none";
  readonly containers: ReadonlyMap<ContainerId, ContainerObservation>;
  /** Containers that the monitor knows and no row. */
  readonly strangers: readonly ContainerId[];
}

export type Action =
  | { readonly do: "undo-pod" | "remove-pod" | "release-pod" | "lose-pod" | "connect" }
  | { readonly do: "undo-container" | "remove-container" | "clear-cgroup"; readonly id: ContainerId }
  | { readonly do: "record-unseen-exit" | "forget"; readonly id: ContainerId }
  | { readonly do: "record-start"; readonly id: ContainerId; readonly at: Micros }
  | { readonly do: "record-exit"; readonly id: ContainerId; readonly exit: ExitFacts };

/** Actions in the order in which they are to be applied. */
export function decide(pod: Pod, containers: readonly Container[], seen: PodObservation): Action[] {
  if (pod.readyAt === null) return [{ do: "undo-pod" }];
  if (pod.removingAt !== null) return [{ do: "remove-pod" }];
  const unfinished = containers.flatMap((container) => unfinishedBusiness(container));
  const whole = containers.filter((row) => row.preparedAt !== null && row.removingAt === null);
  if (stateOfPod(pod) !== "READY") {
    // Releasing ends the containers and records how.
    if (!isReleased(pod)) return [{ do: "release-pod" }, ...unfinished];
    const ends = whole.filter((row) => row.finishedAt === null).map((row) => lastWord(row, seen));
    return [...ends, ...unfinished];
  }
  if (!seen.sameBoot || !seen.monitorAlive) {
    const ends = whole.filter((row) => row.finishedAt === null).map((row) => lastWord(row, seen));
    return [...ends, { do: "lose-pod" }, ...unfinished];
  }
  const facts = whole.flatMap((row) => decideContainer(row, seen));
  const strangers = seen.strangers.map((id): Action => ({ do: "forget", id }));
  const connect: Action[] = seen.connection === "none" ? [{ do: "connect" }] : [];
  const done = removesItself(pod) && whole.length > 0 && whole.every((row) => endsNow(row, facts));
  return [
    ...facts,
    ...strangers,
    ...connect,
    ...unfinished,
    ...(done ? [{ do: "remove-pod" } as const] : []),
  ];
}

function unfinishedBusiness(container: Container): Action[] {
  if (container.preparedAt === null) return [{ do: "undo-container", id: container.id }];
  if (container.removingAt !== null) return [{ do: "remove-container", id: container.id }];
  return [];
}

/** The end of a container whose pod is no more. */
function lastWord({ id }: Container, seen: PodObservation): Action {
  const exit = seen.containers.get(id)?.record ?? null;
  return exit === null ? { do: "record-unseen-exit", id } : { do: "record-exit", id, exit };
}

/** A container of a pod whose monitor lives. */
function decideContainer(row: Container, seen: PodObservation): Action[] {
  const { id } = row;
  if (row.finishedAt !== null) return [{ do: "clear-cgroup", id }];
  if (seen.connection === "known") return [];
  const found = seen.containers.get(id);
  if (seen.connection === "none") {
    // A hung monitor that has not recorded an exit may still do so: until then the container counts as it
    // did.
    const exit = found?.record ?? null;
    return exit === null ? [] : [{ do: "record-exit", id, exit }];
  }
  const monitored = found?.monitored ?? null;
  if (monitored === null) return [lastWord(row, seen)];
  const actions: Action[] = [];
  if (monitored.startedAt !== null && row.startedAt === null) {
    actions.push({ do: "record-start", id, at: monitored.startedAt });
  }
  if (monitored.state !== "exited") return actions;
  const exit = monitored.exit ?? found?.record ?? null;
  return [...actions, exit === null ? { do: "record-unseen-exit", id } : { do: "record-exit", id, exit }];
}

function endsNow(row: Container, actions: readonly Action[]): boolean {
  if (row.finishedAt !== null) return true;
  return actions.some(
    (action) => (action.do === "record-exit" || action.do === "record-unseen-exit") && action.id === row.id,
  );
}
