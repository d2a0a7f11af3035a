import type { Call } from "../lib/call.ts";
import { nowMicros } from "../lib/clock.ts";
import { outlive } from "../lib/outlive.ts";
import { findContainer, markContainerRemoving } from "../store/containers.ts";
import type { ContainerId } from "../types/ids.ts";
import { awaitStart } from "./await-start.ts";
import { stateOfContainer } from "./container-lifecycle.ts";
import type { ContainerDeps } from "./deps.ts";
import { killContainer } from "./kill-container.ts";
import { unseenExit } from "./record-exit.ts";
import { undoContainer } from "./undo-container.ts";

/**
 * Removes a container, killing it first when it runs. Its logs stay. An unknown id is fine (CRI,
 * RemoveContainer). A removal that began is finished at the next start of the daemon.
 */
export function removeContainer(deps: ContainerDeps, call: Call, id: ContainerId): Promise<void> {
  return outlive(call, deps.removing, id, `remove container "${id}"`, (own) => remove(deps, own, id));
}

async function remove(deps: ContainerDeps, call: Call, id: ContainerId): Promise<void> {
  await awaitStart(deps, id);
  const container = findContainer(deps.store, id);
  if (container === null) return;
  const observe = (step: string, when: "before" | "after") => call.observeStep("RemoveContainer", step, when);
  await observe("reserve", "before");
  markContainerRemoving(deps.store, id, nowMicros());
  await observe("reserve", "after");
  if (stateOfContainer(container) === "RUNNING") {
    await observe("kill", "before");
    await killContainer(deps, container);
    await observe("kill", "after");
  }
  await undoContainer(deps, container, observe);
  // Who waits for a container that never ran must not wait for ever.
  deps.exits.notify(id, unseenExit());
  const { podId } = container;
  deps.events({ type: "container-removed", containerId: id, podId, at: nowMicros(), container });
}
