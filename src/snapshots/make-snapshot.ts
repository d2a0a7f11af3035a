import type { LayerKernel } from "../kernel/kernel.ts";
import type { Paths } from "../paths.ts";

interface SnapshotDeps {
  readonly paths: Paths;
  readonly kernel: Pick<LayerKernel, "makeSnapshot">;
}

/** Makes a container's writable snapshot: "u" (upper, 0755) and "w" (work, 0700). Existing ones are fine. */
export function makeSnapshot(deps: SnapshotDeps, number: number): Promise<void> {
  return deps.kernel.makeSnapshot(deps.paths.snapshot(number));
}
