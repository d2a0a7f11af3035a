// A start that is under way, for those who come after it.

import { within } from "../lib/deadline.ts";
import { messageOf } from "../lib/errors.ts";
import type { ContainerId } from "../types/ids.ts";
import type { ContainerDeps } from "./deps.ts";

/** A monitor that takes longer to start a program is hung, and must not delay what ends the container. */
const START_TIMEOUT_MS = 3_000;

/** Resolves when no StartContainer of this container runs any more, or soon anyway. Never rejects. */
export async function awaitStart(
  deps: Pick<ContainerDeps, "starting" | "log">,
  id: ContainerId,
): Promise<void> {
  const starting = deps.starting.join(id);
  if (starting === undefined) return;
  const ended = starting.catch(() => {});
  await within(START_TIMEOUT_MS, `wait for the start of container "${id}"`, ended).catch((error) => {
    deps.log.warn({ container: id, error: messageOf(error) }, "not waiting any longer");
  });
}
