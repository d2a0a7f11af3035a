import { statfs } from "node:fs/promises";
import type { Call } from "../lib/call.ts";
import { within } from "../lib/deadline.ts";
import type { Paths } from "../paths.ts";
import type { FilesystemCapacity, PodStats } from "../types/stats.ts";
import { listPodSandbox } from "./list-pod-sandbox.ts";
import { measurePods, type PodMeasureDeps } from "./measure-pods.ts";

/** A local disk answers at once. What does not is left out, and is not asked again before it has answered. */
const CAPACITY_TIMEOUT_MS = 200;

export interface PodMeasurements {
  readonly pods: readonly PodStats[];
  /** Of the file system of the writable layers; null when it does not answer. */
  readonly filesystem: FilesystemCapacity | null;
}

/** All that is measured of the READY pods, descriptors included (CRI, ListPodSandboxMetrics). */
export async function listPodSandboxMetrics(
  deps: PodMeasureDeps & { readonly paths: Paths },
  _call: Call,
): Promise<PodMeasurements> {
  const [pods, filesystem] = await Promise.all([
    listPodSandbox(deps, { state: "READY" }).then((pods) => measurePods(deps, pods, 2)),
    capacityOf(deps.paths.snapshots),
  ]);
  return { pods, filesystem };
}

/** Questions under way, by path: a disk that hangs costs one thread of the pool. */
const asking = new Map<string, Promise<FilesystemCapacity>>();

function capacityOf(path: string): Promise<FilesystemCapacity | null> {
  const answer = asking.get(path) ?? ask(path);
  return within(CAPACITY_TIMEOUT_MS, `measure the file system of "${path}"`, answer).catch(() => null);
}

function ask(path: string): Promise<FilesystemCapacity> {
  const answer = statfs(path)
    .then(({ bsize, blocks, files, ffree }) => ({
      device: path,
      bytes: bsize * blocks,
      inodes: files,
      inodesFree: ffree,
    }))
    .finally(() => asking.delete(path));
  asking.set(path, answer);
  return answer;
}
