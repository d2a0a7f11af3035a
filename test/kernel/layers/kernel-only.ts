// The addon's layers without the test runner, for tests that need a process of their own.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import type { LayerKernel, UnpackLimits } from "../../../src/kernel/kernel.ts";
import { makeLayerKernel, type NativeLayers } from "../../../src/kernel/layers.ts";

function loadNative(): NativeLayers {
  const built = resolve(import.meta.dirname, "../../../out/native/Release/berth.node");
  return createRequire(import.meta.url)(process.env.BERTH_NATIVE ?? built) as NativeLayers;
}

export const native: NativeLayers = loadNative();
export const kernel: LayerKernel = makeLayerKernel(native);

export const LIMITS: UnpackLimits = { maxUnpackedBytes: 1 << 30, maxEntries: 100_000 };
