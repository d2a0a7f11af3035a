// The addon's doors for layers and trees as the kernel's LayerKernel. Errors of the addon become KernelError;
// what is wrong with the layer's data itself becomes INVALID_ARGUMENT, so that nobody retries it.

import { BerthError, KernelError } from "../lib/errors.ts";
import type { LayerKernel, LayerUnpack, UnpackLimits, UnpackResult } from "./kernel.ts";

/** The functions of addon/binding/layer.cc and rootfs.cc. `handle` is the addon's own. */
export interface NativeLayers {
  layerOpen(directory: string, maxBytes: number, maxEntries: number): unknown;
  layerWrite(handle: unknown, chunk: Uint8Array): true | Promise<void>;
  layerFinish(handle: unknown): Promise<UnpackResult>;
  layerAbort(handle: unknown): Promise<void>;
  removeTree(path: string): Promise<void>;
  readBeneath(layers: readonly string[], path: string, maxBytes: number): Promise<Uint8Array | null>;
  treeUsage(path: string): Promise<{ bytes: number; inodes: number }>;
  syncFilesystem(path: string): Promise<void>;
}

/** The addon copies each piece into its queue: larger ones go in parts, to keep the queue small. */
const PIECE_BYTES = 1 << 20;

export function makeLayerKernel(native: NativeLayers): LayerKernel {
  return {
    unpackLayer: (directory, limits) => openLayer(native, directory, limits),
    removeTree: (path) => translated(native.removeTree(path)),
    readBeneath: (layers, path, maxBytes) => translated(native.readBeneath(layers, path, maxBytes)),
    treeUsage: (path) => translated(native.treeUsage(path)),
    syncFilesystem: (path) => translated(native.syncFilesystem(path)),
  };
}

function openLayer(native: NativeLayers, directory: string, limits: UnpackLimits): LayerUnpack {
  let handle: unknown;
  try {
    handle = native.layerOpen(directory, whole(limits.maxUnpackedBytes), whole(limits.maxEntries));
  } catch (error) {
    throw layerError(error);
  }
  return {
    async write(chunk) {
      try {
        for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
          const room = native.layerWrite(handle, chunk.subarray(at, at + PIECE_BYTES));
          if (room !== true) await room;
        }
      } catch (error) {
        throw layerError(error);
      }
    },
    finish: () => translated(native.layerFinish(handle)),
    abort: () => translated(native.layerAbort(handle)),
  };
}

/** As the addon takes it: limits may be Infinity. */
function whole(limit: number): number {
  if (!(limit >= 0)) throw new BerthError("INTERNAL", `unpack layer: ${limit} is no limit`);
  return Math.min(Math.floor(limit), Number.MAX_SAFE_INTEGER);
}

async function translated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw layerError(error);
  }
}

/** Steps of the readers of the stream and of the archive: their failures are the layer's fault. */
const DATA_STEP = /^(?:tar|gzip|zstd|layer): /;
/** Those among them that the administrator sets. */
const LIMIT_STEP = /than the limit\b/;

function layerError(error: unknown): unknown {
  const { step, errno, path } = error as { step?: unknown; errno?: unknown; path?: unknown };
  if (typeof step !== "string" || typeof errno !== "string" || typeof path !== "string") return error;
  const kernelError = new KernelError(step, errno, path);
  if (!DATA_STEP.test(step) || errno === "ENOMEM") return kernelError;
  const entry = path === "" ? "" : ` (entry ${JSON.stringify(path)})`;
  const what = `${step.replace(/^layer: /, "")}${entry}`;
  if (LIMIT_STEP.test(step)) {
    const next = "raise it under [images] if you trust the image";
    const message = `layer is over a limit of the configuration: ${what}; ${next}`;
    return new BerthError("RESOURCE_EXHAUSTED", message, { cause: kernelError });
  }
  const message = `layer is damaged or not acceptable: ${what}`;
  return new BerthError("INVALID_ARGUMENT", message, { cause: kernelError });
}
