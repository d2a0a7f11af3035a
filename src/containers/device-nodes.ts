// Device nodes of the host, as containers get them.

import type { Stats } from "node:fs";
import { lstat, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, errnoOf, wrapError } from "../lib/errors.ts";
import type { DeviceNode } from "../spec/inputs.ts";
import type { ContainerDevice } from "../types/container.ts";

/** Entries below /dev that a container has of its own or that are no devices. */
const OWN = new Set(["pts", "shm", "mqueue", "fd", "console", "ptmx", "stdin", "stdout", "stderr", "core"]);
const MAX_DEPTH = 4;
const ALL_ACCESS = "rwm";

function toNode(path: string, stats: Stats, access: string): DeviceNode | null {
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return null;
  // makedev of glibc: 12 + 20 bits of major, 8 + 24 bits of minor.
  const device = BigInt(stats.rdev);
  const major = Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
  const minor = Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
  return {
    path,
    type: stats.isCharacterDevice() ? "c" : "b",
    major,
    minor,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    access,
  };
}

/** The host's node at `hostPath` as `path`. NOT_FOUND, or INVALID_ARGUMENT when it is no device. */
export async function hostDeviceNode(hostPath: string, path: string, access: string): Promise<DeviceNode> {
  const node = toNode(path, await statDevice(hostPath), access);
  if (node !== null) return node;
  throw new BerthError("INVALID_ARGUMENT", `device "${hostPath}" is not a device node`);
}

async function statDevice(hostPath: string): Promise<Stats> {
  return await stat(hostPath).catch((error) => {
    const code = errnoOf(error) === "ENOENT" ? "NOT_FOUND" : "INTERNAL";
    throw wrapError(`device "${hostPath}"`, error, code);
  });
}

/** The nodes of the requested devices. A directory stands for every device below it. */
export async function requestedDevices(devices: readonly ContainerDevice[]): Promise<DeviceNode[]> {
  const nodes: DeviceNode[] = [];
  for (const device of devices) {
    const target = device.containerPath === "" ? device.hostPath : device.containerPath;
    const stats = await statDevice(device.hostPath);
    // The CRI's empty permissions are those of a device of no special care.
    const access = device.permissions === "" ? ALL_ACCESS : device.permissions;
    const node = toNode(target, stats, access);
    if (node !== null) nodes.push(node);
    else if (stats.isDirectory()) {
      nodes.push(...(await nodesBelow(device.hostPath, target, access, MAX_DEPTH)));
    } else throw new BerthError("INVALID_ARGUMENT", `device "${device.hostPath}" is not a device node`);
  }
  return nodes;
}

/** Every device node of the host, for privileged containers. */
export function hostDevices(): Promise<DeviceNode[]> {
  return nodesBelow("/dev", "/dev", ALL_ACCESS, MAX_DEPTH);
}

async function nodesBelow(
  directory: string,
  target: string,
  access: string,
  depth: number,
): Promise<DeviceNode[]> {
  const nodes: DeviceNode[] = [];
  const top = directory === "/dev";
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (top && OWN.has(entry.name)) continue;
    const path = join(directory, entry.name);
    const inside = join(target, entry.name);
    if (entry.isDirectory()) {
      if (depth > 1) nodes.push(...(await nodesBelow(path, inside, access, depth - 1)));
      continue;
    }
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue;
    // A node may vanish between the listing and the look (hot-plug): then it is not there.
    const stats = await lstat(path).catch(() => null);
    const node = stats === null ? null : toNode(inside, stats, access);
    if (node !== null) nodes.push(node);
  }
  return nodes;
}
