// Images that a container mounts as volumes.

import { refuseDamaged } from "../images/refuse-damaged.ts";
import { resolveImage } from "../images/resolve-image.ts";
import { BerthError } from "../lib/errors.ts";
import type { ContainerConfig, ContainerMount } from "../types/container.ts";
import type { ContainerDeps } from "./deps.ts";

/**
 * The config with the ids of those images in `imageRef`: what ContainerStatus shows (CRI, ImageSpec), what is
 * mounted even when the reference comes to name another image, and what keeps the image from being removed.
 * NOT_FOUND for one that is not there, FAILED_PRECONDITION for one that is damaged.
 */
export function withImageVolumes(
  deps: ContainerDeps,
  config: ContainerConfig,
  doing: string,
): ContainerConfig {
  if (!config.mounts.some((mount) => mount.image !== undefined)) return config;
  return { ...config, mounts: config.mounts.map((mount) => resolved(deps, mount, doing)) };
}

function resolved(deps: ContainerDeps, mount: ContainerMount, doing: string): ContainerMount {
  if (mount.image === undefined) return mount;
  const image = resolveImage(deps.store, mount.image.image);
  if (image !== null) {
    refuseDamaged(deps.store, image, `${doing}: mount "${mount.containerPath}"`);
    return { ...mount, image: { ...mount.image, imageRef: image.id } };
  }
  throw new BerthError(
    "NOT_FOUND",
    `${doing}: mount "${mount.containerPath}": ImageVolumeMountFailed: image "${mount.image.image}" is not ` +
      "present; pull it first",
  );
}
