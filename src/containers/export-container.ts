import { join } from "node:path";
import { type Call, throwIfAborted } from "../lib/call.ts";
import { BerthError } from "../lib/errors.ts";
import { findContainer } from "../store/containers.ts";
import { getImage } from "../store/images.ts";
import type { ContainerId } from "../types/ids.ts";
import type { Image } from "../types/image.ts";
import type { ContainerDeps } from "./deps.ts";

type ExportDeps = Pick<ContainerDeps, "store" | "kernel" | "paths" | "layerMounts">;

/**
 * A container's root file system as a tar: its image with what it has written, without its volumes. It may be
 * running; then every file is as it was when its turn came. Errors: NOT_FOUND.
 */
export function exportContainer(deps: ExportDeps, call: Call, id: ContainerId): AsyncIterable<Uint8Array> {
  const doing = `export container "${id}"`;
  throwIfAborted(call, doing);
  const container = findContainer(deps.store, id);
  if (container === null || container.preparedAt === null) {
    throw new BerthError("NOT_FOUND", `${doing}: there is no such container`);
  }
  const image = getImage(deps.store, container.imageId);
  if (image === null) throw new BerthError("NOT_FOUND", `${doing}: its image "${container.imageId}" is gone`);
  return treeTar(deps, join(deps.paths.snapshot(container.snapshot), "u"), image);
}

async function* treeTar(deps: ExportDeps, upper: string, image: Image): AsyncGenerator<Uint8Array> {
  const layers = await deps.layerMounts.hold(image.layers);
  try {
    const topFirst = image.layers.map((number) => layers.path(number)).reverse();
    yield* deps.kernel.treeTar([upper, ...topFirst]);
  } finally {
    layers.release();
  }
}
