// What comes into a container from the host: volumes, and the pod's files in /etc.

import { BerthError } from "../lib/errors.ts";
import type { ContainerMount } from "../types/container.ts";
import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
} from "../types/linux.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { absolutePath } from "./process.ts";

export interface Volume {
  readonly source: string;
  /** Absolute and clean. */
  readonly target: string;
  readonly recursive: boolean;
  readonly attributes: number;
  readonly recursiveAttributes: boolean;
  /** An MS_* flag. */
  readonly propagation: number;
}

const PROPAGATION = { PRIVATE: MS_PRIVATE, HOST_TO_CONTAINER: MS_SLAVE, BIDIRECTIONAL: MS_SHARED } as const;

const MOUNT_OPTIONS: ReadonlyMap<string, number> = new Map([
  ["noexec", MOUNT_ATTR_NOEXEC],
  ["nodev", MOUNT_ATTR_NODEV],
  ["nosuid", MOUNT_ATTR_NOSUID],
]);

/**
 * The pod's /etc files that no volume replaces, then the volumes, parents before what is mounted in them;
 * otherwise in the order of the request. INVALID_ARGUMENT for two mounts at the same place.
 */
export function volumesOf(input: ContainerPlanInput): Volume[] {
  const volumes = input.container.mounts.map(volumeOf);
  const places = new Set<string>();
  for (const { target } of volumes) {
    if (places.has(target)) {
      throw new BerthError("INVALID_ARGUMENT", `mount "${target}": two volumes at the same place; keep one`);
    }
    places.add(target);
  }
  const files = podFiles(input).filter(({ target }) => !places.has(target));
  return [...files, ...volumes].sort((a, b) => depth(a.target) - depth(b.target));
}

function depth(path: string): number {
  return path.split("/").length;
}

function podFiles(input: ContainerPlanInput): Volume[] {
  const { resolvConf, hostname, hosts } = input.paths;
  const readonly = input.container.security.readonlyRootfs ? MOUNT_ATTR_RDONLY : 0;
  const files: [string, string][] = [
    [resolvConf, "/etc/resolv.conf"],
    [hostname, "/etc/hostname"],
    [hosts, "/etc/hosts"],
  ];
  return files
    .filter(([source]) => source !== "")
    .map(([source, target]) => ({
      source,
      target,
      recursive: false,
      attributes: readonly | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
      recursiveAttributes: false,
      propagation: MS_PRIVATE,
    }));
}

function volumeOf(mount: ContainerMount): Volume {
  const target = absolutePath(mount.containerPath, "mount");
  if (target === "/") {
    throw new BerthError("INVALID_ARGUMENT", 'mount "/": the root is the image; mount below it');
  }
  refuseMissing(mount, target);
  absolutePath(mount.hostPath, `host path of mount "${target}"`);
  if (mount.recursiveReadOnly && (!mount.readonly || mount.propagation !== "PRIVATE")) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `mount "${target}": recursive_read_only needs readonly and private propagation`,
    );
  }
  let attributes = mount.readonly ? MOUNT_ATTR_RDONLY : 0;
  for (const option of mount.mountOptions) {
    const attribute = MOUNT_OPTIONS.get(option);
    if (attribute === undefined) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `mount "${target}": unknown option ${JSON.stringify(option)}; noexec, nodev and nosuid are known`,
      );
    }
    attributes |= attribute;
  }
  return {
    // As it was given: with links on the way ".." means what the kernel says, not what the text says.
    source: mount.hostPath,
    target,
    recursive: true,
    attributes,
    recursiveAttributes: mount.recursiveReadOnly,
    propagation: PROPAGATION[mount.propagation],
  };
}

function refuseMissing(mount: ContainerMount, target: string): void {
  if (mount.image !== undefined && mount.image.image !== "") {
    throw new BerthError("UNIMPLEMENTED", `mount "${target}": berth does not mount images as volumes yet`);
  }
  if (mount.uidMappings.length > 0 || mount.gidMappings.length > 0) {
    throw new BerthError("UNIMPLEMENTED", `mount "${target}": berth does not map ids of mounts yet`);
  }
}
