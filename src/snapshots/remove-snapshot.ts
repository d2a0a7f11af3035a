import type { LayerKernel } from "../kernel/kernel.ts";
import type { Paths } from "../paths.ts";

/** Removes a container's writable snapshot. Missing is fine. */
export async function removeSnapshot(
  deps: { readonly kernel: Pick<LayerKernel, "removeTree">; readonly paths: Paths },
  number: number,
): Promise<void> {
  await deps.kernel.removeTree(deps.paths.snapshot(number));
}
