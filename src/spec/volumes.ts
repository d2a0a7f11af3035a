// What comes into a container from the host: volumes, and the pod's files in /etc.

import { BerthError } from "../lib/errors.ts";
import type { ContainerMount, ImageRequest } from "../types/container.ts";
import {
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
} from "../types/linux.ts";
import type { PlanStep } from "../types/plan.ts";
import type { UserMapping } from "../types/pod.ts";
import type { ContainerPlanInput } from "./inputs.ts";
import { absolutePath } from "./process.ts";
import { idMapText, userMappingOf } from "./user-namespace.ts";

type OpenTree = Extract<PlanStep, { op: "open-tree" }>;

export interface Volume {
  readonly source: string;
  /** Of an image; `source` is then its reference. */
  readonly image?: { readonly lowers: readonly string[]; readonly subPath: string } | undefined;
  /** Absolute and clean. */
  readonly target: string;
  readonly recursive: boolean;
  readonly idMap: OpenTree["idMap"];
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
  const mapping = userMappingOf(input.pod.security.namespaces);
  const volumes = input.container.mounts.map((mount) => volumeOf(mount, mapping, input));
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
      idMap: "none",
      attributes: readonly | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
      recursiveAttributes: false,
      propagation: MS_PRIVATE,
    }));
}

function volumeOf(mount: ContainerMount, mapping: UserMapping | null, input: ContainerPlanInput): Volume {
  const target = absolutePath(mount.containerPath, "mount");
  if (target === "/") {
    throw new BerthError("INVALID_ARGUMENT", 'mount "/": the root is the image; mount below it');
  }
  if (mount.image !== undefined) return imageVolume(mount, mount.image, target, input);
  absolutePath(mount.hostPath, `host path of mount "${target}"`);
  if (mount.imageSubPath !== "") {
    throw new BerthError("INVALID_ARGUMENT", `mount "${target}": image_sub_path without an image`);
  }
  if (mount.propagation === "BIDIRECTIONAL" && mapping !== null) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `mount "${target}": a user namespace allows no bidirectional propagation; use HOST_TO_CONTAINER`,
    );
  }
  if (mount.recursiveReadOnly && (!mount.readonly || mount.propagation !== "PRIVATE")) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `mount "${target}": recursive_read_only needs readonly and private propagation`,
    );
  }
  const idMap = idMapOf(mount, target, mapping);
  return {
    // As it was given: with links on the way ".." means what the kernel says, not what the text says.
    source: mount.hostPath,
    target,
    recursive: true,
    idMap,
    // A device node of the volume whose owner is root would be the container's.
    attributes: attributesOf(mount, target) | (mapping !== null && idMap !== "none" ? MOUNT_ATTR_NODEV : 0),
    recursiveAttributes: mount.recursiveReadOnly,
    propagation: PROPAGATION[mount.propagation],
  };
}

function attributesOf(mount: ContainerMount, target: string): number {
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
  return attributes;
}

/** Both lists or none (Mount, uidMappings). The pod's own mapping is the usual one. */
function idMapOf(mount: ContainerMount, target: string, mapping: UserMapping | null): Volume["idMap"] {
  const { uidMappings, gidMappings } = mount;
  if (uidMappings.length === 0 && gidMappings.length === 0) return "none";
  if (uidMappings.length === 0 || gidMappings.length === 0) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `mount "${target}": it maps users without groups, or the other way`,
    );
  }
  const maps = { uidMap: idMapText(uidMappings), gidMap: idMapText(gidMappings) };
  const isOfPod =
    mapping !== null &&
    maps.uidMap === idMapText([mapping.uids]) &&
    maps.gidMap === idMapText([mapping.gids]);
  return isOfPod ? "pod" : maps;
}

/** CRI, Mount.image: read-only, and of no host path. */
function imageVolume(
  mount: ContainerMount,
  image: ImageRequest,
  target: string,
  input: ContainerPlanInput,
): Volume {
  const refuse = (why: string) => {
    const token = "ImageVolumeMountFailed";
    return new BerthError("INVALID_ARGUMENT", `mount "${target}": ${token}: an image as a volume ${why}`);
  };
  if (mount.hostPath !== "") throw refuse("has no host_path");
  if (!mount.readonly) throw refuse("must be readonly");
  if (mount.propagation !== "PRIVATE") throw refuse("must have private propagation");
  if (mount.uidMappings.length > 0 || mount.gidMappings.length > 0) throw refuse("has the pod's id mapping");
  if (mount.imageSubPath.startsWith("/") || mount.imageSubPath.split("/").includes("..")) {
    throw refuse(`has a relative image_sub_path without "..", not ${JSON.stringify(mount.imageSubPath)}`);
  }
  const lowers = input.volumeLowers.get(image.imageRef);
  if (lowers === undefined) throw refuse(`needs the image "${image.image}"; pull it first`);
  return {
    source: image.image,
    image: { lowers: [...lowers, input.paths.emptyLayer], subPath: mount.imageSubPath },
    target,
    recursive: false,
    idMap: "none",
    attributes: attributesOf(mount, target) | MOUNT_ATTR_NODEV,
    recursiveAttributes: false,
    propagation: MS_PRIVATE,
  };
}
