// The addon as the daemon loads it.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import type { NetnsKernel } from "../../../src/kernel/kernel.ts";
import { makeNetnsKernel, type NetnsNative } from "../../../src/kernel/netns.ts";

export function loadNetnsKernel(): NetnsKernel {
  const path =
    process.env.BERTH_NATIVE ?? resolve(import.meta.dirname, "../../../out/native/Release/berth.node");
  return makeNetnsKernel(createRequire(import.meta.url)(path) as NetnsNative);
}
