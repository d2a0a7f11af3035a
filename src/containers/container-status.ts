import { BerthError } from "../lib/errors.ts";
import { findContainer } from "../store/containers.ts";
import type { Container } from "../types/container.ts";
import type { ContainerId } from "../types/ids.ts";
import type { ContainerDeps } from "./deps.ts";

/** The row of a container that clients may see. NOT_FOUND otherwise. */
export function containerStatus(deps: Pick<ContainerDeps, "store">, id: ContainerId): Container {
  const container = findContainer(deps.store, id);
  if (container === null || container.preparedAt === null) {
    throw new BerthError("NOT_FOUND", `container "${id}": no such container`);
  }
  return container;
}
