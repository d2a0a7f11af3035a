// Memory at a growing number of pods, each with one sleeping container, on the host's network.

import { setTimeout as sleep } from "node:timers/promises";
import { pssKiB } from "../run/memory.ts";
import type { CriEngine } from "../subjects/cri-engine.ts";

/** Freed and not yet returned memory of a garbage collected daemon settles within this. */
const SETTLE_MS = 1_000;

export interface MemoryPoint {
  readonly pods: number;
  /** Of the engine's own processes, without those of containers; undefined at no pods. */
  readonly perPodKiB: number | undefined;
  readonly daemonKiB: number;
}

/** `overhead` lists the processes that stand for the pods `ids`. `counts` ascend. */
export async function measureMemory(
  engine: CriEngine,
  daemonPid: number,
  overhead: (ids: readonly string[]) => Promise<number[]> | number[],
  counts: readonly number[],
  signal: AbortSignal,
): Promise<MemoryPoint[]> {
  const points: MemoryPoint[] = [{ pods: 0, perPodKiB: undefined, daemonKiB: pssKiB(daemonPid) }];
  const ids: string[] = [];
  for (const count of counts) {
    while (ids.length < count) {
      signal.throwIfAborted();
      const pod = await engine.runPod("host");
      await engine.startContainer(await engine.createContainer(pod, "sleep"));
      ids.push(pod.id);
    }
    await sleep(SETTLE_MS);
    const pids = await overhead(ids);
    const sum = pids.reduce((total, pid) => total + pssKiB(pid), 0);
    points.push({ pods: count, perPodKiB: sum / count, daemonKiB: pssKiB(daemonPid) });
  }
  await engine.removeAll();
  return points;
}
